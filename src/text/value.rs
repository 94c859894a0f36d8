//! One value of a result, and the one way numbers are spelled in every output format.

use std::io::Write as _;

/// A value that an aggregate came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// There was nothing to aggregate.
    Null,
    /// An integer.
    I64(i64),
    /// A sum of integers, which may be wider than they are.
    I128(i128),
    /// A count.
    U64(u64),
    /// A floating-point number.
    F64(f64),
}

impl Value {
    /// Appends the value as text. A null is no text at all. A floating-point number is spelled
    /// with the fewest digits that read back as the same number, and never looks like an integer:
    /// `12.0`, `1e+300`, `-0.0`, `NaN`, `-inf`.
    pub fn push_text(self, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::F64(number) if !number.is_finite() => {
                write!(out, "{number}").expect("a Vec takes all that is written");
            }
            _ => self.push_json(out),
        }
    }

    /// Appends the value as JSON, which has no NaN and no infinities: they become `null`.
    pub fn push_json(self, out: &mut Vec<u8>) {
        let written = match self {
            Self::Null => serde_json::to_writer(out, &()),
            Self::I64(number) => serde_json::to_writer(out, &number),
            Self::I128(number) => serde_json::to_writer(out, &number),
            Self::U64(number) => serde_json::to_writer(out, &number),
            Self::F64(number) => serde_json::to_writer(out, &number),
        };
        written.expect("a Vec takes all that is written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Value) -> String {
        let mut out = Vec::new();
        value.push_text(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn json(value: Value) -> String {
        let mut out = Vec::new();
        value.push_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_spelled_in_one_way() {
        assert_eq!(text(Value::F64(12.0)), "12.0");
        assert_eq!(text(Value::F64(-0.0)), "-0.0");
        assert_eq!(text(Value::F64(0.1 + 0.2)), "0.30000000000000004");
        assert_eq!(text(Value::F64(1e300)), "1e+300");
        assert_eq!(text(Value::F64(5e-324)), "5e-324");
        assert_eq!(text(Value::I64(i64::MIN)), "-9223372036854775808");
        assert_eq!(text(Value::U64(u64::MAX)), "18446744073709551615");
        assert_eq!(text(Value::I128(-(1 << 100))), "-1267650600228229401496703205376");
    }

    #[test]
    fn what_is_no_number_is_text_in_csv_and_null_in_json() {
        assert_eq!(text(Value::Null), "");
        assert_eq!(text(Value::F64(f64::NAN)), "NaN");
        assert_eq!(text(Value::F64(f64::NEG_INFINITY)), "-inf");
        assert_eq!(json(Value::Null), "null");
        assert_eq!(json(Value::F64(f64::NAN)), "null");
        assert_eq!(json(Value::F64(f64::INFINITY)), "null");
    }

    proptest::proptest! {
        #[test]
        fn a_float_reads_back_as_itself(bits: u64) {
            let number = f64::from_bits(bits);
            let read: f64 = text(Value::F64(number)).parse().unwrap();
            proptest::prop_assert!(read.to_bits() == bits || number.is_nan() && read.is_nan());
        }
    }
}
