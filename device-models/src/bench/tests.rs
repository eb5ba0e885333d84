use super::*;
use crate::model::prelude::*;

/// A device whose three timers count, each with a period of its own in milliseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Metronomes {
    beats: [u32; 3],
}

const PERIODS: [u64; 3] = [10, 15, 7];

impl Metronomes {
    fn start(cx: &mut Context<'_>, number: u16, from: Time) {
        let period = Duration::from_millis(PERIODS[usize::from(number)]);
        cx.set_timer(number, Some(from.after(period)));
    }
}

impl Model for Metronomes {
    fn read(&mut self, _: &mut Context<'_>, _: u8, offset: u64, _: Lanes) -> u32 {
        self.beats.get(offset as usize / 4).copied().unwrap_or(0)
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, _: DwordWrite) {
        match offset {
            0x10 => {
                let op = DmaOp::Copy {
                    from: 0,
                    to: 0x1000,
                    len: 4,
                };
                if cx.dma(7, op).is_err() {
                    cx.interrupt(1);
                }
            }
            _ => (0..3).for_each(|number| Self::start(cx, number, cx.now())),
        }
    }

    fn timer(&mut self, cx: &mut Context<'_>, number: u16, due: Time) {
        self.beats[usize::from(number)] += 1;
        Self::start(cx, number, due);
    }

    fn dma_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        assert_eq!(tag, 7);
        cx.interrupt(if outcome.is_ok() { 0 } else { 2 });
    }

    fn reset(&mut self, cx: &mut Context<'_>, kind: ResetKind) {
        if kind != ResetKind::Flr {
            (0..3).for_each(|number| cx.set_timer(number, None));
        }
    }
}

fn bench() -> Bench {
    Bench::new(Box::<Metronomes>::default()).unwrap()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn three_timers_are_restored_with_what_was_left_of_them() {
    let mut bench = bench();
    bench.write(0, 0, 1);
    bench.advance(millis(24));
    let beats = |bench: &mut Bench| [0, 4, 8].map(|offset| bench.read(0, offset));
    assert_eq!(beats(&mut bench), [2, 1, 3]);
    let saved = bench.save();
    assert_eq!(
        saved["core"]["timers_nanos"],
        serde_json::json!({ "0": 6_000_000, "1": 6_000_000, "2": 4_000_000 })
    );

    // The other function's clock stands elsewhere, and it has timers of its own.
    let mut restored = self::bench();
    restored.write(0, 0, 1);
    restored.advance(millis(1001));
    restored.restore(&saved).unwrap();
    assert_eq!(restored.save(), saved);
    for bench in [&mut bench, &mut restored] {
        for (span, expected) in [
            (3, [2, 1, 3]),
            (1, [2, 1, 4]),
            (2, [3, 2, 4]),
            (30, [6, 4, 8]),
        ] {
            bench.advance(millis(span));
            assert_eq!(beats(bench), expected);
        }
    }
}

#[test]
fn a_saved_timer_with_a_number_that_is_none_is_refused() {
    let mut bench = bench();
    for timers in [
        serde_json::json!({ "65536": 1 }),
        serde_json::json!({ "01": 1 }),
        serde_json::json!({ "0": -1 }),
        serde_json::json!([1]),
    ] {
        let mut saved = bench.save();
        saved["core"]["timers_nanos"] = timers.clone();
        let error = bench.restore(&saved).unwrap_err();
        assert!(
            error.to_string().starts_with("function.core"),
            "{timers}: {error}"
        );
    }
}

#[test]
fn a_late_server_loses_no_timer_and_their_order_is_kept() {
    let mut bench = bench();
    bench.write(0, 0, 1);
    bench.advance_late(millis(210));
    assert_eq!([0, 4, 8].map(|offset| bench.read(0, offset)), [21, 14, 30]);
}

#[test]
fn a_model_whose_timers_never_stop_holds_nothing_up() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Restless;

    impl Model for Restless {
        fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
            0
        }
        fn write(&mut self, cx: &mut Context<'_>, _: u8, _: u64, _: DwordWrite) {
            cx.set_timer(0, Some(cx.now()));
        }
        fn timer(&mut self, cx: &mut Context<'_>, number: u16, due: Time) {
            cx.pme();
            cx.set_timer(number, Some(due));
        }
        fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {}
    }

    let mut bench = Bench::new(Box::new(Restless)).unwrap();
    bench.write(0, 0, 1);
    bench.advance_late(millis(1));
    assert_eq!(bench.next_deadline(), Some(Time::ZERO));
    assert!(bench.pme_status());
}

#[test]
fn the_memory_answers_or_the_test_does() {
    let mut bench = bench();
    bench.memory_mut()[..4].copy_from_slice(b"data");
    bench.write(0, 0x10, 1);
    assert_eq!(bench.dma_requests().len(), 1);
    bench.run_dma();
    assert_eq!(bench.memory()[0x1000..0x1004], *b"data");
    assert!(bench.intx());

    bench.write(0, 0x10, 1);
    let request = bench.take_dma().unwrap();
    bench.complete_dma(request.id, Err(DmaError::Unmapped { address: 0 }));
    bench.memory_mut().truncate(2);
    bench.write(0, 0x10, 1);
    assert!(bench.serve_dma() && !bench.serve_dma());
    assert_eq!(bench.messages(), []);
}

#[test]
fn a_transfer_under_way_is_there_again_after_restoring() {
    let mut bench = bench();
    bench.write(0, 0x10, 1);
    let saved = bench.save();
    let mut restored = self::bench();
    restored.write(0, 0x10, 1);
    restored.restore(&saved).unwrap();
    assert_eq!(restored.dma_requests().len(), 1);
    restored.run_dma();
    assert!(restored.intx());
}

#[test]
fn functions_sleep_and_wake() {
    let mut bench = bench();
    bench.write(0, 0x10, 1);
    for (state, decodes) in [
        (PowerState::D3hot, false),
        (PowerState::D0, false),
        (PowerState::D3cold, false),
        (PowerState::D3hot, false),
        (PowerState::D0, false),
    ] {
        bench.set_power_state(state);
        assert_eq!(bench.power_state(), state);
        assert_eq!(bench.read(0, 0) != u32::MAX, decodes, "{state}");
    }
    bench.enable();
    assert_eq!(bench.read(0, 0), 0);
    let events: Vec<_> = bench.events().collect();
    assert!(
        events.contains(&&FunctionEvent::Rail { on: false }),
        "{events:?}"
    );
    assert_eq!(bench.violations().counts["too-early"], 0);
    assert_eq!(bench.config_read(0), 0x0001_1234);
    bench.clear_effects();
    assert!(bench.effects().is_empty());
}

/// A device that reports an event for every write, and a violation for those to 4.
#[derive(Debug, Serialize, Deserialize)]
struct Talker;

impl Model for Talker {
    fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
        0
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        match offset {
            0 => cx.event("written", write.value()),
            4 => cx.violation(
                "read-only",
                "software wrote to a register that is read-only",
            ),
            8 => (0..write.value()).for_each(|number| cx.event("many", number)),
            _ => cx.event("large", "x".repeat(write.value() as usize)),
        }
    }

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {}
}

#[test]
fn what_a_model_notices_is_an_event_or_a_violation() {
    let mut bench = Bench::new(Box::new(Talker)).unwrap();
    bench.write(0, 0, 7);
    bench.write(0, 4, 1);
    bench.write(0, 0xc, 1022);
    bench.write(0, 0xc, 1023);
    let events: Vec<Value> = bench.events().map(crate::snapshot::tree).collect();
    let rule = serde_json::json!({
        "event": "violation",
        "violation": "model",
        "rule": "read-only",
        "text": "software wrote to a register that is read-only",
    });
    let large = |data: Option<String>| serde_json::json!({ "event": "model", "name": "large", "data": data });
    assert_eq!(
        events,
        [
            serde_json::json!({ "event": "model", "name": "written", "data": 7 }),
            rule,
            large(Some("x".repeat(1022))),
            large(None),
        ]
    );
    assert_eq!(bench.violations().counts["model.read-only"], 1);
    bench.restore(&bench.save()).unwrap();
    assert_eq!(bench.violations().counts["model.read-only"], 1);
}

#[test]
fn a_model_tells_only_so_much_at_a_time() {
    let mut bench = Bench::new(Box::new(Talker)).unwrap();
    for told in [256, 512] {
        bench.write(0, 8, 1000);
        assert_eq!(bench.events().count(), told);
    }
}
