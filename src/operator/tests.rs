use super::*;
use crate::time::EventTime;
use bytemuck::{Pod, Zeroable};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Number(i64);

impl Record for Number {
    type Key = i64;

    fn event_time(&self) -> EventTime {
        EventTime::from_nanos(self.0)
    }

    fn key(&self) -> i64 {
        self.0
    }
}

/// Applies a stage to every row, offering again whatever was refused. Says what came out and how
/// many outputs each row was said to have.
fn run(
    mut stage: impl Stage<Typed<Number>, Out = Typed<Number>>,
    rows: &[i64],
    mut room: impl FnMut() -> bool,
) -> (Vec<i64>, Vec<u32>) {
    let (mut out, mut counts) = (Vec::new(), Vec::new());
    for row in rows {
        loop {
            let applied = stage.apply(&Number(*row), &[], &mut |row, _| {
                let room = room();
                room.then(|| out.push(row.0));
                room
            });
            if let Applied::Placed(count) = applied {
                counts.push(count);
                break;
            }
        }
    }
    (out, counts)
}

proptest! {
    #[test]
    fn refusals_change_nothing(
        rows in prop::collection::vec(-20_i64..20, 0..40),
        rooms in prop::collection::vec(any::<bool>(), 1..40),
    ) {
        let mut calls = 0;
        let mut turn = 0;
        let stage = Then::new(
            Then::new(Filter::new(|n: &Number| n.0 % 3 != 0), Map::new(|n: &Number| {
                calls += 1;
                Number(n.0 + 1)
            })),
            Then::new(
                FlatMap::new(|n: &Number, out: &mut Vec<Number>| {
                    out.extend((0..n.0.rem_euclid(4)).map(|k| Number(n.0 * 10 + k)));
                }),
                Filter::new(|n: &Number| n.0 % 2 == 0),
            ),
        );
        // Every fifth look finds room, so that each row gets through some time.
        let (out, counts) = run(stage, &rows, || {
            turn += 1;
            turn % 5 == 0 || rooms[turn % rooms.len()]
        });
        let kept: Vec<i64> = rows.iter().filter(|n| *n % 3 != 0).map(|n| n + 1).collect();
        let expand = |n: &i64| {
            (0..n.rem_euclid(4)).map(|k| n * 10 + k).filter(|n| n % 2 == 0).collect::<Vec<_>>()
        };
        prop_assert_eq!(out, kept.iter().flat_map(expand).collect::<Vec<_>>());
        prop_assert_eq!(calls, kept.len(), "a closure ran twice for one row");
        let expected: Vec<u32> = rows
            .iter()
            .map(|n| if n % 3 == 0 { 0 } else { expand(&(n + 1)).len() as u32 })
            .collect();
        prop_assert_eq!(counts, expected);
    }
}
