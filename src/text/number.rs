//! Numbers as cells hold them.
//!
//! Uses nothing of the crate. Spaces around a number are no harm; anything else that is not of
//! the number is.

/// Why a cell is not the number that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// No number at all.
    NotANumber,
    /// A number with a fraction or an exponent where an integer is wanted.
    Fraction,
    /// An integer that 64 bits do not hold.
    Overflow,
    /// A number beyond all that a float holds but infinity, which it is not.
    OutOfRange,
}

/// Digits that 64 bits hold whatever they are.
const SAFE_DIGITS: usize = 18;

/// Reads an integer.
#[inline]
pub(crate) fn read_i64(text: &[u8]) -> Result<i64, NumberError> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > SAFE_DIGITS {
        return read_i64_slowly(text);
    }
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return read_i64_slowly(text);
        }
        value = value * 10 + i64::from(digit);
    }
    Ok(if negative { -value } else { value })
}

#[cold]
fn read_i64_slowly(text: &[u8]) -> Result<i64, NumberError> {
    let trimmed = text.trim_ascii();
    match read_shape(trimmed) {
        Some(Shape::Integer) => std::str::from_utf8(trimmed)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(NumberError::Overflow),
        Some(Shape::Fraction) => Err(NumberError::Fraction),
        None => Err(NumberError::NotANumber),
    }
}

/// Digits whose value a float holds exactly.
const EXACT_DIGITS: usize = 15;

/// Reads a number as a float: the nearest one. Only the word for it is infinite.
#[inline]
pub(crate) fn read_f64(text: &[u8]) -> Result<f64, NumberError> {
    if text.len() <= EXACT_DIGITS
        && let Some((first, rest)) = text.split_first()
        && first.is_ascii_digit()
    {
        let mut value = i64::from(first - b'0');
        for byte in rest {
            if !byte.is_ascii_digit() {
                return read_f64_slowly(text);
            }
            value = value * 10 + i64::from(byte - b'0');
        }
        #[allow(clippy::cast_precision_loss)] // at most 15 digits
        return Ok(value as f64);
    }
    read_f64_slowly(text)
}

fn read_f64_slowly(text: &[u8]) -> Result<f64, NumberError> {
    let text = std::str::from_utf8(text.trim_ascii()).map_err(|_| NumberError::NotANumber)?;
    let value: f64 = text.parse().map_err(|_| NumberError::NotANumber)?;
    match value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) {
        true => Err(NumberError::OutOfRange),
        false => Ok(value),
    }
}

/// What a number looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Digits, perhaps with a sign.
    Integer,
    /// A fraction or an exponent as well.
    Fraction,
}

/// The shape of a number without spaces around it; `None` when it is none. Words for floats that
/// are no numbers, such as `NaN`, have no shape: they prove nothing about a column.
pub(crate) fn read_shape(text: &[u8]) -> Option<Shape> {
    let rest = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+"));
    let rest = rest.unwrap_or(text);
    if !rest.is_empty() && rest.iter().all(u8::is_ascii_digit) {
        return Some(Shape::Integer);
    }
    let first = *rest.first()?;
    let numeric = first.is_ascii_digit() || first == b'.';
    let parsed = std::str::from_utf8(text).ok()?.parse::<f64>();
    (numeric && parsed.is_ok()).then_some(Shape::Fraction)
}

/// Whether a text, spaces around it aside, is a number.
pub(crate) fn is_number(text: &[u8]) -> bool {
    read_shape(text.trim_ascii()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_told_from_what_only_looks_like_them() {
        assert_eq!(read_i64(b"-7"), Ok(-7));
        assert_eq!(read_i64(b"+7"), Ok(7));
        assert_eq!(read_i64(b" 007 "), Ok(7));
        assert_eq!(read_i64(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(read_i64(b"9223372036854775808"), Err(NumberError::Overflow));
        for text in ["4.5", "4.", ".5", "1e3", "-2.0"] {
            let refused = Err(NumberError::Fraction);
            assert_eq!(read_i64(text.as_bytes()), refused, "{text}");
        }
        for text in ["", " ", "-", "+-1", "UA", "1_000", "0x10", "NaN", "1,5", "٣", "."] {
            let refused = Err(NumberError::NotANumber);
            assert_eq!(read_i64(text.as_bytes()), refused, "{text}");
        }
    }

    #[test]
    fn floats_may_be_words_but_words_prove_nothing() {
        assert!(read_f64(b"NaN").is_ok_and(f64::is_nan));
        assert_eq!(read_f64(b"-inf"), Ok(f64::NEG_INFINITY));
        assert_eq!(read_f64(b"infinity"), Ok(f64::INFINITY));
        assert_eq!(read_shape(b"NaN"), None);
        assert_eq!(read_shape(b"-inf"), None);
        assert_eq!(read_f64(b""), Err(NumberError::NotANumber));
        assert_eq!(read_f64(b"\xff"), Err(NumberError::NotANumber));
    }

    #[test]
    fn a_number_beyond_all_floats_is_not_infinite() {
        let digits = "9".repeat(400);
        for text in ["1e400", "-1e400", "+1.8e308", " 2E999 ", &digits] {
            assert_eq!(read_f64(text.as_bytes()), Err(NumberError::OutOfRange), "{text}");
        }
        assert_eq!(read_f64(b"-1.7976931348623157e308"), Ok(f64::MIN));
        assert_eq!(read_f64(b"1e-400"), Ok(0.0));
    }

    proptest! {
        #[test]
        fn every_integer_is_read_as_std_reads_it(number in any::<i64>(), shift in 0_u32..64) {
            let number: i64 = number >> shift;
            prop_assert_eq!(read_i64(number.to_string().as_bytes()), Ok(number));
        }

        #[test]
        fn any_text_is_read_as_std_reads_it(text in "[-+0-9.eE ]{0,22}") {
            let bytes = text.as_bytes();
            let std = text.trim().parse::<i64>();
            prop_assert_eq!(read_i64(bytes).ok(), std.ok());
            let std = text.trim().parse::<f64>();
            let finite = std.clone().ok().filter(|value| value.is_finite());
            prop_assert_eq!(read_f64(bytes).ok(), finite);
            prop_assert_eq!(is_number(bytes), std.is_ok());
        }
    }
}
