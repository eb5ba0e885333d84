use super::registers::*;
use super::*;
use crate::bench::Bench;
use crate::model::backend::WakeSource;

const GPU: &str = "gpu";
const DISK: &str = "disk";

impl Bench {
    fn controller() -> Self {
        Self::new(Box::new(Controller::new([slot_key(GPU), slot_key(DISK)]))).unwrap()
    }

    fn platform<T: Default>(
        &mut self,
        act: impl FnOnce(&mut dyn PlatformPort, &mut Context<'_>) -> T,
    ) -> T {
        self.with_backend(|backend, cx| {
            let port = backend.platform();
            port.map(|port| act(port, cx)).unwrap_or_default()
        })
    }

    fn switches(&mut self) -> Vec<(usize, bool)> {
        let mut all = Vec::new();
        while let Some(switch) = self.platform(|port, cx| port.take_switch(cx)) {
            all.push((switch.slot, switch.on));
        }
        all
    }

    fn woke(&mut self, slot: usize, function: u8) {
        let function = FunctionNumber::try_from(function).unwrap();
        self.platform(|port, cx| port.wake(cx, slot, function, WakeSource::Function));
    }

    fn select(&mut self, name: &str) {
        self.write(0, SLOT, slot_key(name));
    }
}

#[test]
fn software_finds_the_controller_and_its_slots() {
    let mut bench = Bench::controller();
    assert_eq!(bench.read(0, ID), u32::from_le_bytes(*b"DMRC"));
    assert_eq!(bench.read(0, SLOTS), 2);
    for name in [GPU, DISK] {
        bench.select(name);
        let registers = [RAIL, WAKE, WAKE_ENABLE].map(|offset| bench.read(0, offset));
        assert_eq!(registers, [1, 0, 0xff], "{name}");
    }
    assert_eq!(bench.read(0, SLOT), slot_key(DISK));
    assert_eq!(bench.read(0, 0x20), 0);
    assert_eq!(bench.read(4, ID), 0);
    assert_eq!(bench.function().violations().total, 0);
}

#[test]
fn a_switch_reaches_the_platform_once_and_in_order() {
    let mut bench = Bench::controller();
    bench.switches();
    bench.select(DISK);
    bench.write(0, RAIL, 0);
    assert_eq!(bench.read(0, RAIL), 0, "as it was wanted");
    assert_eq!(bench.switches(), [(1, false)]);
    assert_eq!(bench.switches(), []);
    bench.platform(|port, cx| port.set_rail(cx, 1, false));
    assert_eq!(bench.read(0, RAIL), 0);
    // Off and on again between two looks of the platform is a power cycle.
    for on in [1, 0, 1, 1] {
        bench.write(0, RAIL, on);
    }
    assert_eq!(bench.switches(), [(1, false), (1, true)]);
    bench.platform(|port, cx| port.set_rail(cx, 1, true));
    bench.select(GPU);
    bench.write(0, RAIL, 0xfffe);
    bench.write_bytes(0, RAIL + 1, &[1]);
    assert_eq!(bench.switches(), [(0, false)]);
}

#[test]
fn what_the_platform_did_by_itself_is_shown() {
    let mut bench = Bench::controller();
    bench.switches();
    bench.platform(|port, cx| port.set_rail(cx, 0, false));
    bench.select(GPU);
    assert_eq!(bench.read(0, RAIL), 0);
    assert_eq!(bench.switches(), []);
}

#[test]
fn wake_events_are_recorded_until_they_are_cleared() {
    let mut bench = Bench::controller();
    assert!(!bench.intx());
    bench.woke(1, 0);
    bench.woke(1, 3);
    bench.woke(0, 2);
    bench.woke(9, 0);
    assert!(bench.intx());
    assert_eq!(bench.read(0, WOKEN), slot_key(GPU));
    bench.select(DISK);
    assert_eq!(bench.read(0, WAKE), 0b1001);
    bench.write(0, WAKE, 0b0001);
    assert_eq!(bench.read(0, WAKE), 0b1000);
    bench.write(0, WAKE, 0b1000);
    assert!(bench.intx(), "the other slot has one");
    bench.select(GPU);
    bench.write(0, WAKE, 0xff);
    assert!(!bench.intx());
    assert_eq!(bench.read(0, WOKEN), 0);
}

#[test]
fn a_function_that_is_not_enabled_wakes_nobody() {
    let mut bench = Bench::controller();
    bench.select(GPU);
    bench.write(0, WAKE_ENABLE, 0xfe);
    bench.woke(0, 0);
    assert!(!bench.intx());
    bench.woke(0, 1);
    assert_eq!(bench.read(0, WAKE), 0b10);
    bench.write(0, WAKE_ENABLE, 0);
    assert_eq!(bench.read(0, WAKE), 0b10, "it was recorded before");
}

#[test]
fn a_wake_by_the_host_is_news_only_while_power_should_be_off() {
    let mut bench = Bench::controller();
    let by_host = |bench: &mut Bench| {
        bench.platform(|port, cx| port.wake(cx, 0, FunctionNumber::ZERO, WakeSource::Host));
        bench.read(0, WAKE)
    };
    bench.select(GPU);
    bench.write(0, WAKE_ENABLE, 0);
    assert_eq!(by_host(&mut bench), 0);
    bench.write(0, RAIL, 0);
    assert_eq!(
        by_host(&mut bench),
        1,
        "whether or not the function itself is enabled"
    );
}

#[test]
fn a_reset_turns_all_power_on_and_forgets_wake_events() {
    let mut bench = Bench::controller();
    bench.select(GPU);
    bench.write(0, RAIL, 0);
    bench.write(0, WAKE_ENABLE, 0);
    bench.woke(1, 0);
    bench.switches();
    bench.with_function(|function, now| function.conventional_reset(now, ResetKind::Hot));
    bench.enable();
    assert!(!bench.intx());
    assert_eq!(bench.switches(), [(0, true), (1, true)]);
    assert_eq!(bench.read(0, SLOT), 0);
    bench.select(GPU);
    assert_eq!(bench.read(0, WAKE_ENABLE), 0xff);
}

#[test]
fn a_slot_that_does_not_exist_is_a_violation() {
    let mut bench = Bench::controller();
    bench.switches();
    bench.select("elsewhere");
    assert_eq!(bench.read(0, RAIL), 0);
    bench.write(0, RAIL, 0);
    assert_eq!(bench.switches(), []);
    let counts = bench.function().violations().counts;
    assert_eq!(counts["model.no-such-slot"], 2);
}

#[test]
fn a_restored_controller_goes_on_where_the_saved_one_was() {
    let mut bench = Bench::controller();
    bench.select(DISK);
    bench.write(0, RAIL, 0);
    bench.woke(0, 1);
    let saved = bench.save();
    let mut restored = Bench::controller();
    restored.restore(&saved).unwrap();
    assert_eq!(restored.read(0, SLOT), slot_key(DISK));
    assert_eq!(restored.read(0, WOKEN), slot_key(GPU));
    assert_eq!(restored.switches().last(), Some(&(1, false)));
    restored.select(GPU);
    restored.write(0, WAKE, 0b10);
    assert_eq!(restored.intx_levels(), [false], "it was asserted");
    let mut other = Bench::new(Box::new(Controller::new([slot_key(GPU)]))).unwrap();
    let error = other.restore(&saved).unwrap_err();
    assert!(error.to_string().contains("other slots"), "{error}");
}

#[test]
fn the_device_is_a_system_peripheral_with_an_interrupt_pin() {
    let devices = Controller::device_set(&[slot_key(GPU)]).unwrap();
    let mut header = [0; 0x40];
    devices.slot().first().config().read(0, &mut header);
    assert_eq!(header[0x09..0x0c], [0x00, 0x80, 0x08]);
    assert_eq!(header[0x3d], 1);
    assert_eq!(
        header[0x34], 0,
        "it has no capability, so it is always in D0"
    );
}

#[test]
fn a_restored_controller_has_the_slots_follow_its_state() {
    let mut bench = Bench::controller();
    bench.switches();
    bench.select(DISK);
    bench.write(0, RAIL, 0);
    bench.write(0, WAKE_ENABLE, 0xfe);
    assert_eq!(bench.switches(), [(1, false)]);
    bench.woke(1, 2);
    bench.write(0, RAIL, 1);
    let saved = bench.save();
    let mut other = Bench::controller();
    other.switches();
    other.restore(&saved).unwrap();
    let registers = [WOKEN, SLOT, RAIL, WAKE, WAKE_ENABLE].map(|offset| other.read(0, offset));
    let disk = slot_key(DISK);
    assert_eq!(registers, [disk, disk, 1, 0b100, 0xfe]);
    assert_eq!(other.save(), saved, "nothing more is saved");
    assert_eq!(other.switches(), [(0, true), (1, true)]);
    assert_eq!(other.switches(), []);
}
