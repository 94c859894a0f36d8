use super::*;
use crate::time::MonotonicNanos;

fn board() -> std::sync::Arc<MeterBoard> {
    MeterBoard::new(vec!["a.csv".into()], 2)
}

#[test]
fn a_ledger_names_what_does_not_balance() {
    let board = board();
    board.source(0).read.set(10);
    board.source(0).routed.set(7);
    board.source(0).filtered.set(2);
    assert!(board.snapshot().ledger().to_string().contains("a.csv: read 10"));
    board.source(0).dead_letter.set(1);
    board.source(0).rows.set(9);
    board.source(0).unsent.set(1);
    assert!(board.snapshot().ledger().to_string().contains("a.csv: rows 9 ≠ sent 0 + unsent 1"));
    board.source(0).rows.set(8);
    board.lane(0, 1).routed.set(7);
    assert!(board.snapshot().ledger().to_string().contains("lane 1: routed 7"));
    board.lane(0, 1).received.set(7);
    board.shard(1).received.set(7);
    board.shard(1).counted.set(5);
    assert!(board.snapshot().ledger().to_string().contains("shard 1: received 7"));
    board.shard(1).late.set(2);
    board.sink(1).late.set(2);
    assert!(board.snapshot().ledger().is_balanced());
}

#[test]
fn a_ledger_names_what_did_not_come_out() {
    let board = board();
    let off = || board.snapshot().ledger().to_string();
    board.shard(1).results.set(9);
    assert!(off().contains("shard 1: results 9 and late 0 ≠ results 0 and late 0 of its sink"));
    board.sink(1).results.set(9);
    board.sink(1).late.set(1);
    assert!(off().contains("shard 1: results 9 and late 0 ≠ results 9 and late 1 of its sink"));
    board.sink(1).late.set(0);
    board.sink(1).handed.set(8);
    board.shard(1).live_keys.set(3);
    board.shard(1).open_slices.set(2);
    assert!(board.snapshot().ledger().is_balanced(), "there is more to come");
    board.sink(1).ended.set(1);
    assert!(off().contains("shard 1: results 9 ≠ handed over 8 + passed over 0"));
    board.sink(1).passed_over.set(1);
    board.shard(1).ended.set(1);
    assert!(off().contains("shard 1: at its end 3 keys are left in 2 slices"));
    board.shard(1).live_keys.set(0);
    assert!(board.snapshot().ledger().is_balanced());
}

#[test]
fn rates_are_of_the_time_between() {
    let board = board();
    board.set_threads(2);
    let mut earlier = board.snapshot();
    let mut now = earlier.clone();
    earlier.elapsed = std::time::Duration::from_secs(1);
    now.elapsed = std::time::Duration::from_secs(3);
    now.sources[0].1.read = 500;
    now.shards[0].busy_nanos = 4_000_000_000;
    let rates = now.since(&earlier);
    assert_eq!(rates.records_per_second, 250.0);
    assert_eq!(rates.busy, 1.0);
    assert!(now.line_since(&earlier).starts_with("250 records/s"));
}

#[test]
fn shares_are_of_the_threads_time_however_many_shards_they_have() {
    let board = MeterBoard::new(vec!["a.csv".into()], 256);
    for threads in [1, 2] {
        board.set_threads(threads);
        let earlier = Metrics { elapsed: std::time::Duration::ZERO, ..board.snapshot() };
        let mut now = earlier.clone();
        now.elapsed = std::time::Duration::from_secs(256);
        now.shards.iter_mut().for_each(|shard| shard.busy_nanos += 500_000_000);
        now.shards[0].blocked_nanos += 32_000_000_000;
        now.sources[0].1.idle_nanos += 64_000_000_000;
        let Rates { busy, blocked, idle, .. } = now.since(&earlier);
        let expected = [0.5, 0.125, 0.25].map(|share| share / threads as f64);
        assert_eq!([busy, blocked, idle], expected, "{threads} threads");
    }
}

#[test]
fn latencies_are_read_while_they_are_recorded() {
    let board = board();
    let mut writer = board.latency_writer(1);
    let recorder = std::thread::spawn(move || {
        for n in 1..=100_000_u64 {
            writer.record(n, MonotonicNanos(n * 1_000_000));
        }
        writer.publish_last();
    });
    let mut seen = 0;
    while seen < 100_000 {
        let count = board.snapshot().close.count;
        assert!(count >= seen, "what was seen stays");
        seen = count;
    }
    recorder.join().unwrap();
    let close = board.snapshot().close;
    assert_eq!(close.count, 100_000);
    assert!((49_900..=50_100).contains(&close.p50), "{close:?}");
}

#[test]
fn latencies_of_an_interval_are_those_of_the_interval() {
    let board = board();
    let mut writer = board.latency_writer(0);
    (0..10).for_each(|_| writer.record(1_000, MonotonicNanos(0)));
    writer.publish_last();
    let earlier = board.snapshot();
    assert_eq!(earlier.close_since(&Default::default()).count, 10);
    (0..5).for_each(|_| writer.record(9_000_000, MonotonicNanos(0)));
    writer.publish_last();
    let now = board.snapshot();
    let interval = now.close_since(&earlier);
    assert_eq!((now.close.count, interval.count), (15, 5));
    assert!(interval.p50 > 8_900_000 && now.close.p50 < 1_100, "{interval:?}");
}

#[test]
fn a_lane_says_how_full_it_is() {
    let board = board();
    let lane = board.lane(0, 1);
    lane.capacity_bytes.set(1_000);
    lane.sent_bytes.set(700);
    lane.taken_bytes.set(200);
    let metrics = board.snapshot();
    assert_eq!(metrics.lanes[1].fill(), 0.5);
    assert_eq!(metrics.fullest_lane(), 0.5);
    assert!(metrics.line_since(&Default::default()).contains("fullest lane 50 %"));
}

#[test]
fn durations_have_three_digits_and_the_unit_that_fits() {
    for (nanos, expected) in [
        (0, "0 s"),
        (7, "7 ns"),
        (999, "999 ns"),
        (1_000, "1.00 µs"),
        (24_215_600, "24.2 ms"),
        (999_499, "999 µs"),
        (999_501, "1.00 ms"),
        (9_996_000_000, "10.0 s"),
        (59_960_000_000, "1.00 min"),
        (300_000_000_000, "5.00 min"),
        (43_200_000_000_000, "12.0 h"),
        (1_045_440_000_000_000, "12.1 d"),
        (86_400_000_000_000 * 365, "365 d"),
    ] {
        let duration = std::time::Duration::from_nanos(nanos);
        assert_eq!(snapshot::shown(Some(duration)), expected, "{nanos}");
    }
}

#[test]
fn a_line_shows_a_dash_for_what_was_not_measured() {
    let board = board();
    let line = board.snapshot().line_since(&Default::default());
    assert!(line.contains("watermark lag -, in flight 0"), "{line}");
    assert!(line.ends_with("0 closes, p50 -, p99 -, p99.99 -"), "{line}");
    let mut writer = board.latency_writer(0);
    writer.record(1_500, MonotonicNanos(0));
    writer.publish_last();
    board.source(0).max_time.set(5_000_000_000);
    board.source(0).watermark.set(2_500_000_000);
    let line = board.snapshot().line_since(&Default::default());
    assert!(line.contains("watermark lag 2.50 s,"), "{line}");
    assert!(line.ends_with("1 closes, p50 1.50 µs, p99 1.50 µs, p99.99 1.50 µs"), "{line}");
}
