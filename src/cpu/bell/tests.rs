//! The bell's tests: by hand, with real threads, and every interleaving under loom
//! (`RUSTFLAGS="--cfg loom" cargo test --release --lib bell`).

use super::*;

#[cfg(loom)]
mod model {
    use super::*;
    use loom::future::block_on;
    use loom::thread;

    /// All interleavings with at most three preemptions: few enough to finish in minutes.
    fn check(model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(model);
    }

    /// Waits as a role does: raise the flag, look once more, sleep.
    async fn wait_for(work: &AtomicU64, wanted: u64, listener: &mut Listener) {
        while work.load(Ordering::Relaxed) < wanted {
            let nap = listener.prepare();
            if work.load(Ordering::Relaxed) < wanted {
                nap.await;
            }
        }
    }

    /// A lost wake-up is a deadlock here, which loom reports.
    #[test]
    fn no_wake_up_is_lost() {
        check(|| {
            let bell = Bell::new();
            let work = Arc::new(AtomicU64::new(0));
            let ringer = {
                let (bell, work) = (bell.clone(), work.clone());
                thread::spawn(move || {
                    for done in 1..=2 {
                        work.store(done, Ordering::Relaxed);
                        bell.ring();
                    }
                })
            };
            let mut listener = bell.listen().unwrap();
            block_on(wait_for(&work, 1, &mut listener));
            block_on(wait_for(&work, 2, &mut listener));
            ringer.join().unwrap();
        });
    }

    #[test]
    fn two_ringers_wake_one_listener() {
        check(|| {
            let bell = Bell::new();
            let work = Arc::new(AtomicU64::new(0));
            let ringers: Vec<_> = (0..2)
                .map(|_| {
                    let (bell, work) = (bell.clone(), work.clone());
                    thread::spawn(move || {
                        work.fetch_add(1, Ordering::Relaxed);
                        bell.ring();
                    })
                })
                .collect();
            let mut listener = bell.listen().unwrap();
            block_on(wait_for(&work, 2, &mut listener));
            for ringer in ringers {
                ringer.join().unwrap();
            }
        });
    }

    #[test]
    fn a_ring_wakes_both_listeners() {
        check(|| {
            let bell = Bell::new();
            let work = Arc::new(AtomicU64::new(0));
            let sleepers: Vec<_> = (0..2)
                .map(|_| {
                    let (bell, work) = (bell.clone(), work.clone());
                    thread::spawn(move || {
                        let mut listener = bell.listen().unwrap();
                        block_on(wait_for(&work, 1, &mut listener));
                    })
                })
                .collect();
            work.store(1, Ordering::Relaxed);
            bell.ring();
            for sleeper in sleepers {
                sleeper.join().unwrap();
            }
        });
    }
}

#[cfg(not(loom))]
mod real {
    use super::*;
    use std::task::Wake;
    use std::thread;

    /// For ever: where a wake-up is lost, the test hangs and does not pass late.
    const LONG: Duration = Duration::from_secs(u32::MAX as u64);

    #[test]
    fn a_ring_after_prepare_is_heard_and_one_before_is_not() {
        let bell = Bell::new();
        let mut listener = bell.listen().unwrap();
        bell.ring();
        let nap = listener.prepare();
        assert!(!nap.is_rung());
        bell.ring();
        assert!(nap.is_rung());
        assert!(nap.sleep(LONG), "returns at once");
    }

    #[test]
    fn a_nap_ends_by_itself_and_says_that_nobody_rang() {
        let bell = Bell::new();
        let mut listener = bell.listen().unwrap();
        assert!(!listener.prepare().sleep(Duration::from_millis(1)));
        assert!(!listener.prepare().sleep(Duration::ZERO));
        assert_eq!(format!("{bell:?}"), "Bell { asleep: 0 }");
    }

    #[test]
    fn a_dropped_nap_takes_the_flag_down() {
        let bell = Bell::new();
        let mut listener = bell.listen().unwrap();
        let nap = listener.prepare();
        assert_eq!(format!("{bell:?}"), "Bell { asleep: 1 }");
        drop(nap);
        assert_eq!(format!("{bell:?}"), "Bell { asleep: 0 }");
    }

    #[test]
    fn slots_run_out_and_come_back() {
        let bell = Bell::new();
        let mut listeners: Vec<_> = (0..64).map(|_| bell.listen().unwrap()).collect();
        assert_eq!(bell.listen().unwrap_err(), BellFull);
        let freed = listeners.remove(17);
        drop(freed);
        assert_eq!(bell.listen().unwrap().slot, 17);
    }

    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicU64);

    impl Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn tasks_of_one_executor_are_woken_by_one_ring() {
        let bell = Bell::new();
        let mut listeners: Vec<_> = (0..3).map(|_| bell.listen().unwrap()).collect();
        let wakes = std::sync::Arc::new(Count::default());
        let waker = Waker::from(wakes.clone());
        let mut context = Context::from_waker(&waker);
        let mut naps: Vec<_> = listeners.iter_mut().map(Listener::prepare).collect();
        for nap in &mut naps {
            assert_eq!(Pin::new(nap).poll(&mut context), Poll::Pending);
        }
        bell.ring();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 3);
        bell.ring();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 3, "nobody sleeps any more");
        for nap in &mut naps {
            assert_eq!(Pin::new(nap).poll(&mut context), Poll::Ready(()));
        }
    }

    #[test]
    fn a_listener_that_moves_to_another_thread_wakes_that_thread() {
        let bell = Bell::new();
        let mut listener = bell.listen().unwrap();
        assert!(!listener.prepare().sleep(Duration::from_millis(1)));
        let (started, wait) = std::sync::mpsc::channel();
        let sleeper = thread::spawn(move || {
            let nap = listener.prepare();
            started.send(()).unwrap();
            nap.sleep(LONG)
        });
        wait.recv().unwrap();
        bell.ring();
        assert!(sleeper.join().unwrap());
    }

    #[test]
    fn a_late_wake_of_an_earlier_ring_does_not_swallow_the_next() {
        let bell = Bell::new();
        let mut listener = bell.listen().unwrap();
        let (started, wait) = std::sync::mpsc::channel();
        let sleeper = thread::spawn(move || {
            let nap = listener.prepare();
            started.send(()).unwrap();
            nap.sleep(LONG)
        });
        wait.recv().unwrap();
        for _ in 0..1000 {
            bell.shared.wakers[0].wake();
            thread::yield_now();
        }
        bell.ring();
        assert!(sleeper.join().unwrap());
    }

    /// Two threads answer each other, sleeping without a timeout that would hide a lost wake-up.
    #[test]
    fn two_threads_never_miss_each_other() {
        const TURNS: u64 = 20_000;
        let bells = [Bell::new(), Bell::new()];
        let turn = Arc::new(AtomicU64::new(0));
        let players: Vec<_> = (0..2_u64)
            .map(|me| {
                let turn = turn.clone();
                let other = bells[1 - me as usize].clone();
                let mut listener = bells[me as usize].listen().unwrap();
                thread::spawn(move || {
                    for mine in (me..TURNS).step_by(2) {
                        while turn.load(Ordering::Acquire) != mine {
                            let nap = listener.prepare();
                            if turn.load(Ordering::Acquire) != mine {
                                assert!(nap.sleep(LONG));
                            }
                        }
                        turn.store(mine + 1, Ordering::Release);
                        other.ring();
                    }
                })
            })
            .collect();
        for player in players {
            player.join().unwrap();
        }
        assert_eq!(turn.load(Ordering::Relaxed), TURNS);
    }
}
