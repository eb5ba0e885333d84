//! The host driver over a function, seen from right above it: what reaches the function and in which
//! order, which fields are whose, and what outlives sleep.

use pci_device_models::effect::FunctionEvent;
use pci_device_models::host::{AttachedFd, DeviceSet, Event, Output, RuntimePmStatus};
use pci_device_models::model::Registry;
use pci_device_models::power::PowerState::{self, D0, D3cold, D3hot};
use pci_device_models::profile::Profile;
use pci_device_models::time::Time;
use proptest::prelude::*;
use std::time::Duration;
use vfio_user_protocol::messages::set_irqs::{Action, Data};
use vfio_user_protocol::messages::{device_feature, set_irqs};
use vfio_user_protocol::vfio::{IrqIndex, RegionIndex};

const CONFIG: u32 = RegionIndex::Config.number();
const ROM: u32 = RegionIndex::Rom.number();
const PM: u64 = 0x40;
const PMCSR: u64 = PM + 4;
const MSI: u64 = 0x50;
const PCIE: u64 = 0x70;
const MSIX: u64 = 0xb0;
const AER: u64 = 0x100;

const FUNCTION: &str = r#"
name = "function"
model = "ram"
[identity]
vendor-id = 0x1234
device-id = 0x5678
class = 0xff0000
interrupt-pin = "A"
[[bar]]
index = 0
kind = "memory32"
size = 0x1000
[[bar]]
index = 2
kind = "memory64"
size = 0x1_0000
[rom]
size = 0x800
[capabilities.pm]
offset = 0x40
pme-from = ["d0", "d3hot", "d3cold"]
d2 = true
[capabilities.msi]
offset = 0x50
vectors = 4
[capabilities.pcie]
offset = 0x70
[capabilities.msix]
offset = 0xb0
vectors = 4
table-bar = 2
[capabilities.aer]
offset = 0x100
[host]
view = "vfio-pci"
"#;

/// A device with the clock at zero.
struct Bench(DeviceSet);

impl Bench {
    /// An open device; `set` are overrides of the profile.
    fn open(set: &[(&str, &str)]) -> Self {
        let set: Vec<_> = set
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let profile = Profile::parse("function", FUNCTION, &set).expect("a profile");
        let mut devices = profile.device_set(&Registry::builtin()).expect("a device");
        devices
            .first_mut()
            .client_came(Time::ZERO)
            .expect("it wakes");
        let mut bench = Self(devices);
        bench.idle();
        bench.outputs();
        bench
    }

    fn idle(&mut self) {
        self.0.first_mut().idle(Time::ZERO);
    }

    fn read(&mut self, offset: u64, len: usize) -> u32 {
        let mut data = [0; 4];
        self.0
            .first_mut()
            .region_read(Time::ZERO, CONFIG, offset, &mut data[..len])
            .expect("config space");
        self.idle();
        u32::from_le_bytes(data)
    }

    fn write(&mut self, offset: u64, len: usize, value: u32) {
        self.0
            .first_mut()
            .region_write(Time::ZERO, CONFIG, offset, &value.to_le_bytes()[..len])
            .expect("config space");
        self.idle();
    }

    fn feature(&mut self, index: u16, data: [u8; 8]) {
        let request = device_feature::Request::set(index, &data);
        self.0
            .first_mut()
            .feature(Time::ZERO, &request, AttachedFd::Eventfd)
            .expect("it is right");
        self.idle();
    }

    fn enter(&mut self) {
        self.feature(3, [1, 0, 0, 0, 0, 0, 0, 0]);
    }

    fn bind(&mut self, index: u32, count: u32) {
        let request = set_irqs::Request {
            index,
            action: Action::Trigger,
            start: 0,
            count,
            data: Data::Eventfd,
        };
        self.0
            .first_mut()
            .set_irqs(Time::ZERO, &request, 1)
            .expect("it is right");
        self.idle();
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.0.first_mut().next_output()).collect()
    }

    /// The states that the function went to.
    fn states(&mut self) -> Vec<PowerState> {
        let outputs = self.outputs().into_iter();
        outputs
            .filter_map(|output| match output {
                Output::Event(Event::Function(FunctionEvent::DState { to, .. })) => Some(to),
                _ => None,
            })
            .collect()
    }

    fn triggers(&mut self) -> Vec<(IrqIndex, u32)> {
        let outputs = self.outputs().into_iter();
        outputs
            .filter_map(|output| match output {
                Output::Trigger { index, vector } => Some((index, vector)),
                _ => None,
            })
            .collect()
    }
}

const HOT: (&str, &str) = ("platform.deepest-state", "d3hot");
const COLD: (&str, &str) = ("platform.deepest-state", "d3cold");
const PORT: (&str, &str) = ("platform.d3cold-via", "port");
/// The port goes to sleep with its last function.
const AT_ONCE: (&str, &str) = ("slot.port.suspend-delay-ms", "0");
const V4: (&str, &str) = ("host.pm-dialect", "v4");

#[test]
fn the_function_goes_through_the_states_that_the_kernel_takes_it_through() {
    for (how, down) in [
        (&[HOT][..], &[D3hot][..]),
        (&[COLD], &[D3hot, D3cold]),
        (&[COLD, PORT, AT_ONCE], &[D3hot, D3cold]),
    ] {
        let mut bench = Bench::open(how);
        let and_down = |first: &[PowerState]| [first, down].concat();
        bench.enter();
        assert_eq!(bench.states(), down, "entry, {how:?}");
        bench.read(0, 4);
        assert_eq!(bench.states(), and_down(&[D0]), "an access, {how:?}");
        bench.write(PMCSR, 2, 3);
        let through_d0 = and_down(&[D0, D3hot, D0]);
        assert_eq!(bench.states(), through_d0, "the client's D3hot, {how:?}");
        bench.feature(5, [0; 8]);
        assert_eq!(bench.states(), [D0], "exit, {how:?}");
        bench.write(PMCSR, 2, 3);
        bench.states();
        bench.enter();
        assert_eq!(bench.states(), and_down(&[D0]), "entry in D3hot, {how:?}");
    }
}

#[test]
fn a_function_sleeps_where_it_can_wake_from() {
    let pme_from = |states| ("capabilities.pm.pme-from", states);
    for (states, how, down) in [
        ("[]", HOT, &[D3hot][..]),
        (r#"["d0", "d3hot"]"#, HOT, &[D3hot]),
        (r#"["d0", "d2"]"#, HOT, &[PowerState::D2]),
        (r#"["d0"]"#, HOT, &[]),
        (r#"["d0"]"#, PORT, &[D3cold]),
        // The platform that switches the function itself does not ask.
        (r#"["d0"]"#, COLD, &[D3hot, D3cold]),
    ] {
        let mut bench = Bench::open(&[pme_from(states), how, AT_ONCE]);
        bench.enter();
        assert_eq!(bench.states(), down, "PME from {states}, {how:?}");
    }
}

#[test]
fn what_is_the_drivers_own_keeps_its_value_when_the_function_dies() {
    for (dialect, pmcsr) in [(&[COLD][..], 0x7eff), (&[COLD, V4], 0xfeff)] {
        let mut bench = Bench::open(dialect);
        bench
            .0
            .first_mut()
            .set_dead_after_cold(Time::ZERO, true)
            .unwrap();
        bench.enter();
        for (offset, len, value) in [
            (0x00, 4, 0x5678_1234),
            (0x04, 2, 0xfbff),
            (0x06, 2, 0xffff),
            (PMCSR, 2, pmcsr),
            (MSI, 2, (PCIE as u32) << 8 | 0xff),
        ] {
            assert_eq!(bench.read(offset, len), value, "{offset:#x} {dialect:?}");
        }
    }
}

const HARDWARE: (&str, &str) = ("host.view", "hardware");

#[test]
fn the_virtual_pme_is_in_front_of_the_functions_own_in_the_hardware_view() {
    let mut bench = Bench::open(&[COLD, V4, HARDWARE, ("capabilities.pm.pme-from", "[]")]);
    assert_eq!(bench.read(PM + 2, 2) >> 11, 0x1f, "PME_Support");
    bench.write(PMCSR, 2, 0x100);
    assert_eq!(bench.read(PMCSR, 4) & 0x8100, 0x0100, "PME_En by a word");
    bench.write(PMCSR + 1, 1, 0);
    assert_eq!(bench.read(PMCSR + 1, 1) & 0x81, 0x00, "PME_En by a byte");

    bench.bind(IrqIndex::Pme.number(), 1);
    bench.write(PMCSR, 2, 0x100);
    bench.enter();
    bench.outputs();
    bench.0.first_mut().host_access(Time::ZERO);
    assert_eq!(bench.triggers(), [(IrqIndex::Pme, 0)]);
    assert_eq!(bench.read(PMCSR, 2) & 0x8103, 0x8100, "it stays awake");
    bench.write(PMCSR, 2, 0x100);
    assert_eq!(bench.read(PMCSR, 2) & 0x8100, 0x8100, "a 0 does not clear");
    bench.write(PMCSR + 1, 1, 0x80);
    assert_eq!(bench.read(PMCSR, 2) & 0x8100, 0x0000, "a 1 does");
}

#[test]
fn the_functions_own_pme_stays_visible_in_the_hardware_view() {
    let mut bench = Bench::open(&[V4, HARDWARE]);
    bench.write(PMCSR, 2, 0x0103);
    bench.0.first_mut().pme(Time::ZERO);
    assert_eq!(bench.read(PMCSR, 2) & 0x8103, 0x8103);
    bench.write(PMCSR, 2, 0x8103);
    assert_eq!(bench.read(PMCSR, 2) & 0x8103, 0x0103);
}

#[test]
fn a_silent_function_has_no_virtual_pme_in_the_hardware_view() {
    let mut bench = Bench::open(&[V4, HARDWARE]);
    bench.write(PMCSR, 2, 0x100);
    bench.0.set_rail(Time::ZERO, false);
    bench.write(PMCSR, 2, 0);
    assert_eq!(bench.read(PM, 4), u32::MAX);
    assert_eq!(bench.read(PMCSR, 4), u32::MAX);
    bench.0.set_rail(Time::ZERO, true);
    assert_eq!(bench.read(PMCSR, 2) & 0x8100, 0x0100, "the write was lost");
}

/// Offset, length, what is written, what is read then, what the field is.
const PERMISSIONS: [(u64, usize, u32, u32, &str); 19] = [
    (0x00, 4, u32::MAX, 0x5678_1234, "Vendor and Device ID"),
    (
        0x04,
        2,
        0x0407,
        0x0406,
        "Command: no I/O BAR, Interrupt Disable virtual",
    ),
    (0x05, 1, 0x00, 0x00, "Interrupt Disable by a byte"),
    (0x06, 2, u32::MAX, 0x0010, "Status"),
    (0x0c, 1, 0x40, 0x40, "Cache Line Size"),
    (0x10, 4, u32::MAX, 0xffff_f000, "BAR0 tells its size"),
    (0x14, 4, u32::MAX, 0, "BAR1 is not there"),
    (0x18, 4, u32::MAX, 0xffff_0004, "BAR2, low half"),
    (0x1c, 4, u32::MAX, u32::MAX, "BAR2, high half"),
    (0x30, 4, u32::MAX, 0xffff_f801, "the ROM BAR"),
    (0x34, 1, 0, PM as u32, "Capabilities Pointer"),
    (0x3c, 2, 0xffff, 0x01ff, "Interrupt Line and Pin"),
    (PM, 2, 0, MSI as u32 * 0x100 + 1, "capability header"),
    (PM + 2, 2, u32::MAX, 0x0403, "PMC without PME"),
    (PMCSR, 2, 0x8100, 0x0000, "PME bits"),
    (
        PCIE + 8,
        2,
        0x82ff,
        0x00ff,
        "Device Control: no phantom functions, FLR reads zero",
    ),
    (
        MSIX + 2,
        2,
        0x8000,
        0x0003,
        "MSI-X Message Control belongs to the driver",
    ),
    (
        MSI + 4,
        4,
        0xfee0_0000,
        0xfee0_0000,
        "MSI address is virtual",
    ),
    (AER + 8, 4, 0x0010_0000, 0x0010_0000, "AER mask"),
];

#[test]
fn every_field_is_whose_it_should_be() {
    let mut bench = Bench::open(&[HOT]);
    for (offset, len, written, read, what) in PERMISSIONS {
        bench.write(offset, len, written);
        assert_eq!(bench.read(offset, len), read, "{what}");
    }
}

#[test]
fn a_state_is_asked_for_by_the_piece_that_starts_at_pmcsr() {
    for (offset, len, value, state) in [
        (PMCSR, 1, 0x3, 3),
        (PMCSR, 2, 0x3, 3),
        (PMCSR, 4, 0x3, 3),
        (PMCSR + 1, 1, 0x03, 0),
        (PM + 2, 4, 0x0003_0000, 3),
        (PM + 1, 4, 0x0300_0000, 3),
        (PM + 3, 3, 0x0000_0300, 3),
        (PM + 3, 4, 0x0003_0000, 0),
        (PMCSR, 1, 0x1, 0),
        (PMCSR, 1, 0x2, 2),
    ] {
        let mut bench = Bench::open(&[]);
        bench.write(offset, len, value);
        let now = bench.read(PMCSR, 2) & 3;
        assert_eq!(now, state, "{len} bytes at {offset:#x}: {value:#x}");
    }
}

#[test]
fn interrupt_disable_masks_by_word_and_by_byte() {
    for (offset, len, disable, enable) in [(4, 2, 0x0402, 0x0002), (5, 1, 0x04, 0x00)] {
        let mut bench = Bench::open(&[]);
        bench.bind(0, 1);
        bench.write(offset, len, disable);
        bench.0.first_mut().set_intx(Time::ZERO, true);
        assert_eq!(bench.triggers(), []);
        bench.write(offset, len, enable);
        assert_eq!(bench.triggers(), [(IrqIndex::Intx, 0)]);
    }
}

#[test]
fn a_resample_in_sleep_and_a_line_that_rose_make_one_signal() {
    for how in [HOT, COLD] {
        let mut bench = Bench::open(&[how]);
        bench.bind(0, 1);
        bench.enter();
        bench.0.first_mut().intx_resample(Time::ZERO);
        bench.0.first_mut().set_intx(Time::ZERO, true);
        assert_eq!(bench.triggers(), [], "asleep");
        bench.read(0, 4);
        assert_eq!(bench.triggers(), [(IrqIndex::Intx, 0)]);
        bench.read(0, 4);
        assert_eq!(bench.triggers(), [], "it is masked now");
    }
}

#[test]
fn messages_work_by_their_triggers_alone_and_over_sleep() {
    for (index, expected) in [(1, IrqIndex::Msi), (2, IrqIndex::Msix)] {
        let mut bench = Bench::open(&[HOT]);
        bench.0.first_mut().interrupt(Time::ZERO, 2);
        assert_eq!(bench.triggers(), [], "INTx has no trigger");
        bench.0.first_mut().set_intx(Time::ZERO, false);
        bench.write(4, 2, 0x0006);
        bench.bind(index, 3);
        bench.0.first_mut().interrupt(Time::ZERO, 2);
        assert_eq!(bench.triggers(), [(expected, 2)]);
        bench.enter();
        bench.read(0, 4);
        bench.triggers();
        bench.feature(5, [0; 8]);
        bench.0.first_mut().interrupt(Time::ZERO, 1);
        assert_eq!(bench.triggers(), [(expected, 1)], "restored");
    }
}

#[test]
fn the_rom_needs_memory_space_and_no_bit_of_its_own() {
    let mut bench = Bench::open(&[]);
    let rom = |bench: &mut Bench| {
        let mut data = [0; 2];
        let read = bench
            .0
            .first_mut()
            .region_read(Time::ZERO, ROM, 0, &mut data);
        read.map(|_| data).map_err(|error| error.errno().0)
    };
    const ENOMEM: i32 = 12;
    assert_eq!(rom(&mut bench), Ok([0x55, 0xaa]));
    bench.write(4, 2, 0);
    assert_eq!(rom(&mut bench), Err(ENOMEM));
    bench.write(4, 2, 2);
    bench.write(PMCSR, 2, 3);
    assert_eq!(rom(&mut bench), Err(ENOMEM));
}

#[test]
fn the_poll_finds_a_wake_event_at_the_next_full_second_of_sleep() {
    let at = |millis| Time::ZERO.after(Duration::from_millis(millis));
    let mut bench = Bench::open(&[HOT]);
    bench.feature(4, [0; 8]);
    bench.outputs();
    bench.0.first_mut().pme(at(2300));
    let asleep = |bench: &Bench| {
        bench.0.first().status(at(3000)).runtime_status == RuntimePmStatus::Suspended
    };
    bench.0.first_mut().advance(at(2999));
    assert!(asleep(&bench));
    bench.0.first_mut().advance(at(3000));
    assert!(!asleep(&bench));
    let wakeup = |output: &Output| matches!(output, Output::Wakeup { signal: true });
    assert_eq!(bench.outputs().iter().filter(|out| wakeup(out)).count(), 1);
}

proptest! {
    /// Header, PCI Express controls, AER masks and both kinds of messages are what they were.
    #[test]
    fn what_the_host_restores_is_the_same_after_sleep(
        writes in prop::collection::vec(
            (prop::sample::select(vec![
                0x04, 0x0c, 0x10, 0x18, 0x1c, 0x30, 0x3c,
                MSI, MSI + 4, MSI + 8, MSI + 12,
                PCIE + 0x10, PCIE + 0x28, PCIE + 0x30,
                MSIX, AER + 0x08, AER + 0x0c, AER + 0x14, AER + 0x18,
            ]), any::<u32>()),
            0..40,
        ),
        how in prop::sample::select(vec![HOT, COLD]),
        view in prop::sample::select(vec!["hardware", "vfio-pci"]),
    ) {
        let mut bench = Bench::open(&[how, ("host.view", view)]);
        for (offset, value) in writes {
            bench.write(offset, 4, value);
        }
        let image = |bench: &mut Bench| -> Vec<u32> {
            (0..0x200).step_by(4).map(|offset| bench.read(offset, 4)).collect()
        };
        let before = image(&mut bench);
        bench.enter();
        prop_assert_ne!(bench.0.first_mut().slot().function().power_state(), D0);
        bench.feature(5, [0; 8]);
        prop_assert_eq!(image(&mut bench), before);
    }
}
