use super::registers::*;
use super::*;
use crate::bench::Bench;
use crate::bench::testing::{COMMAND, D0, D3HOT, ENABLE};
use crate::dma::{DmaError, DmaOp, DmaRequest};
use crate::effect::{Effect, FunctionEvent, MessageKind};

const PMCSR: u64 = 0x44;
const MSI_CONTROL: u64 = 0x52;
/// `DMA_STATUS`: done, error, code 4.
const ABORTED: u32 = 0x406;

impl Bench {
    fn testdev() -> Self {
        Self::with(&[])
    }

    fn with(set: &[(&str, &str)]) -> Self {
        Self::builtin("testdev", set)
    }

    fn copy(&mut self, from: u64, to: u64, len: u32, count: u32, control: DmaControl) {
        for (offset, value) in [(DMA_SRC, from), (DMA_DST, to)] {
            self.write(0, offset, value as u32);
            self.write(0, offset + 4, (value >> 32) as u32);
        }
        self.write(0, DMA_LEN, len);
        self.write(0, DMA_COUNT, count);
        self.write(0, DMA_CTRL, control.into());
    }

    fn status(&mut self) -> DmaStatus {
        DmaStatus::from(self.read(0, DMA_STATUS))
    }
}

fn go() -> DmaControl {
    DmaControl::new().with_go(true)
}

#[test]
fn registers_after_power_on_and_what_writes_leave_there() {
    for (offset, reset, after) in [
        (MAGIC, 0x504d_4456, 0x504d_4456),
        (SCRATCH, 0, 0xa5a5_5a5a),
        (D_STATE, 0, 0),
        (OUTSIDE_D0, 0, 0),
        (RESETS, 0, 0),
        (DMA_SRC, 0, 0xa5a5_5a5a),
        (DMA_SRC + 4, 0, 0xa5a5_5a5a),
        (DMA_DST, 0, 0xa5a5_5a5a),
        (DMA_DST + 4, 0, 0xa5a5_5a5a),
        (DMA_LEN, 0, 0xa5a5_5a5a),
        (DMA_COUNT, 0, 0xa5a5_5a5a),
        (DMA_STATUS, 0, 0),
        (0x40, 0, 0),
        (0xffc, 0, 0),
    ] {
        let mut bench = Bench::testdev();
        assert_eq!(bench.read(0, offset), reset, "{offset:#x}");
        bench.write(0, offset, 0xa5a5_5a5a);
        assert_eq!(bench.read(0, offset), after, "{offset:#x}");
        bench.function.reset(bench.now, ResetKind::Flr);
        bench.config(COMMAND, ENABLE);
        let expected = if offset == RESETS { 1 } else { reset };
        assert_eq!(bench.read(0, offset), expected, "{offset:#x} after a reset");
    }
}

#[test]
fn the_trigger_asserts_intx_or_sends_the_message() {
    let mut bench = Bench::testdev();
    bench.write(0, IRQ_TRIGGER, 3);
    assert_eq!(bench.intx_levels(), [true]);
    bench.write(0, IRQ_ACK, 0);
    assert_eq!(bench.intx_levels(), [true, false]);

    // Enable, eight vectors allocated.
    bench.config(MSI_CONTROL, 0x0031);
    bench.write(0, IRQ_TRIGGER, 3);
    assert_eq!(bench.messages(), [(MessageKind::Msi, 3)]);
    assert_eq!(bench.intx_levels(), [true, false]);
}

#[test]
fn accesses_outside_d0_are_counted() {
    let mut bench = Bench::with(&[("capabilities.pm.no-soft-reset", "true")]);
    bench.config(PMCSR, D3HOT);
    assert_eq!(bench.read(0, MAGIC), u32::MAX);
    bench.write(0, SCRATCH, 1);
    bench.config(PMCSR, D0);
    assert_eq!(bench.read(0, OUTSIDE_D0), 2);
    assert_eq!(bench.read(0, SCRATCH), 0);
}

#[test]
fn a_wake_event_comes_when_it_is_due_whatever_happened_since() {
    type Step = fn(&mut Bench);
    let sleep: Step = |bench| bench.config(PMCSR, D3HOT);
    let flr: Step = |bench| {
        let now = bench.now;
        bench.function.reset(now, ResetKind::Flr);
    };
    let off: Step = |bench| {
        bench.config(PMCSR, D3HOT);
        let now = bench.now;
        bench.function.power_off(now);
    };
    let steps: [(&str, Step); 4] = [
        ("D0", |_| {}),
        ("D3hot", sleep),
        ("FLR", flr),
        ("D3cold", off),
    ];
    for (name, step) in steps {
        let mut bench = Bench::testdev();
        bench.write(0, PME_AFTER_MS, 50);
        step(&mut bench);
        bench.pass(49);
        assert!(!bench.pme_status(), "{name}: too early");
        assert_eq!(
            bench.function.next_deadline(),
            Some(Time::ZERO.after(Duration::from_millis(50))),
            "{name}"
        );
        bench.pass(1);
        assert!(bench.pme_status(), "{name}");
        assert_eq!(bench.function.next_deadline(), None, "{name}: once only");
    }
}

#[test]
fn a_wake_event_after_zero_milliseconds_comes_at_once() {
    let mut bench = Bench::testdev();
    bench.write(0, PME_AFTER_MS, 0);
    bench.pass(0);
    assert!(bench.pme_status());
}

#[test]
fn without_auxiliary_power_a_wake_event_is_lost_with_the_rail() {
    let mut bench = Bench::with(&[("platform.aux-power", "false")]);
    bench.write(0, PME_AFTER_MS, 50);
    bench.function.power_off(bench.now);
    bench.pass(10);
    bench.function.power_on(bench.now);
    bench.pass(100);
    assert!(!bench.pme_status());
    assert_eq!(bench.function.next_deadline(), None);
}

#[test]
fn an_armed_wake_event_in_d3cold_asserts_the_wake_signal() {
    let mut bench = Bench::testdev();
    bench.write(0, PME_AFTER_MS, 5);
    // PME_En.
    bench.config(PMCSR, D3HOT | 0x0100);
    bench.function.power_off(bench.now);
    bench.pass(5);
    let woken = |effect: &Effect| {
        matches!(
            effect,
            Effect::Event(FunctionEvent::Wake { asserted: true })
        )
    };
    assert!(bench.effects.iter().any(woken));
}

#[test]
fn copies_move_memory_in_slices_as_often_as_told() {
    // Length, count, slices.
    for (len, count, slices) in [
        (16, 1, vec![16]),
        (16, 3, vec![16, 16, 16]),
        (1 << 20, 1, vec![1 << 20]),
        ((1 << 20) + 8, 2, vec![1 << 20, 8, 1 << 20, 8]),
        (0, 5, vec![]),
        (16, 0, vec![]),
    ] {
        let mut bench = Bench::testdev();
        bench.memory[..32].fill(0x5a);
        bench.copy(0, 0x20_0000, len, count, go());
        let mut seen = Vec::new();
        while let Some(DmaRequest {
            op: DmaOp::Copy { from, to, len },
            ..
        }) = bench.waiting.front()
        {
            assert_eq!(bench.waiting.len(), 1, "one slice at a time");
            assert_eq!(to - from, 0x20_0000);
            seen.push(*len);
            assert!(bench.status().busy());
            bench.serve_dma();
        }
        assert_eq!(seen, slices, "{len} bytes {count} times");
        let status = bench.status();
        assert_eq!(
            (status.done(), status.busy(), status.error()),
            (true, false, false)
        );
        let copied = bench.memory[0x20_0000];
        assert_eq!(copied, if slices.is_empty() { 0 } else { 0x5a });
    }
}

#[test]
fn an_error_ends_the_job_with_its_code() {
    let unmapped = DmaError::Unmapped { address: 0 };
    let refused = DmaError::NotPermitted {
        address: 0,
        write: true,
    };
    for (outcome, code) in [(unmapped, 1), (refused, 2)] {
        let mut bench = Bench::testdev();
        bench.copy(0, 0x1000, 16, 2, go());
        let id = bench.take_dma().unwrap().id;
        bench.finish(id, Err(outcome));
        assert!(bench.waiting.is_empty());
        let status = bench.status();
        assert_eq!(
            (status.done(), status.error(), status.code()),
            (true, true, code)
        );
    }
    let mut bench = Bench::testdev();
    bench.config(COMMAND, 0x0002);
    bench.copy(0, 0x1000, 16, 1, go());
    assert!(bench.waiting.is_empty());
    assert_eq!(bench.read(0, DMA_STATUS), 0x306, "bus mastering is off");
}

#[test]
fn a_job_interrupts_at_its_end_if_told_so() {
    let interrupting = go().with_interrupt(true).with_vector(2);
    let past_the_end = u64::MAX - 7;
    for (control, from, expected) in [
        (go(), 0, vec![]),
        (interrupting, 0, vec![(MessageKind::Msi, 2)]),
        (interrupting, past_the_end, vec![(MessageKind::Msi, 2)]),
    ] {
        let mut bench = Bench::testdev();
        bench.config(MSI_CONTROL, 0x0031);
        bench.copy(from, 0x1000, 16, 2, control);
        assert_eq!(bench.messages(), [], "not before the end");
        while bench.serve_dma() {}
        assert_eq!(bench.messages(), expected);
    }
}

#[test]
fn go_is_ignored_while_busy_and_stop_ends_the_job_after_its_slice() {
    let mut bench = Bench::testdev();
    bench.copy(0, 0x1000, 16, 1000, go());
    bench.write(0, DMA_CTRL, go().into());
    assert_eq!(bench.waiting.len(), 1);
    bench.write(0, DMA_CTRL, DmaControl::new().with_stop(true).into());
    assert!(bench.status().busy(), "the slice is under way");
    bench.serve_dma();
    assert!(bench.waiting.is_empty());
    assert_eq!(bench.read(0, DMA_STATUS), 0x2);
    // Nothing runs: there is nothing to stop, and stop wins over go.
    bench.write(0, DMA_CTRL, go().with_stop(true).into());
    assert!(bench.waiting.is_empty());
}

#[test]
fn power_states_and_resets_abort_a_job_and_the_status_tells() {
    type Step = fn(&mut Bench);
    let sleep: Step = |bench| {
        bench.config(PMCSR, D3HOT);
        bench.config(PMCSR, D0);
    };
    let flr: Step = |bench| bench.function.reset(bench.now, ResetKind::Flr);
    let rail: Step = |bench| {
        bench.function.power_off(bench.now);
        bench.function.power_on(bench.now);
    };
    for (name, no_soft_reset, step) in [
        ("D3hot with a soft reset", "false", sleep),
        ("D3hot", "true", sleep),
        ("FLR", "true", flr),
        ("D3cold", "true", rail),
    ] {
        let mut bench = Bench::with(&[("capabilities.pm.no-soft-reset", no_soft_reset)]);
        bench.copy(0, 0x1000, 16, 10, go());
        step(&mut bench);
        bench.config(COMMAND, ENABLE);
        assert_eq!(bench.read(0, DMA_STATUS), ABORTED, "{name}");
        // The slice under way comes back too late to matter.
        while bench.serve_dma() {}
        assert_eq!(bench.read(0, DMA_STATUS), ABORTED, "{name}");
        bench.copy(0, 0x1000, 16, 1, go());
        while bench.serve_dma() {}
        assert_eq!(bench.read(0, DMA_STATUS), 0x2, "{name}: the next job runs");
    }
}

#[test]
fn a_job_cut_off_by_sleep_interrupts_when_the_function_is_awake_again() {
    let mut bench = Bench::with(&[("capabilities.pm.no-soft-reset", "true")]);
    bench.config(MSI_CONTROL, 0x0031);
    bench.copy(0, 0x1000, 16, 10, go().with_interrupt(true).with_vector(2));
    bench.config(PMCSR, D3HOT);
    while bench.serve_dma() {}
    assert_eq!(bench.messages(), []);
    bench.config(PMCSR, D0);
    assert_eq!(bench.messages(), [(MessageKind::Msi, 2)]);
}

#[test]
fn a_job_that_ended_before_a_reset_is_forgotten() {
    let mut bench = Bench::testdev();
    bench.copy(0, 0x1000, 16, 1, go());
    while bench.serve_dma() {}
    bench.function.reset(bench.now, ResetKind::Flr);
    bench.config(COMMAND, ENABLE);
    assert_eq!(bench.read(0, DMA_STATUS), 0);
}
