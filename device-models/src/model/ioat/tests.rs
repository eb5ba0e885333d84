use proptest::prelude::*;
use serde_json::json;

use crate::bench::Bench;
use crate::bench::testing::{COMMAND, D0, D3HOT, ENABLE};
use crate::effect::MessageKind;
use crate::register::ResetKind;

// The data sheet's offsets and bits once more: what the model takes for them is what is tested.
const CHANCNT: u64 = 0x00;
const XFERCAP: u64 = 0x01;
const GENCTRL: u64 = 0x02;
const INTRCTRL: u64 = 0x03;
const ATTNSTATUS: u64 = 0x04;
const VER: u64 = 0x08;
const INTRDELAY: u64 = 0x0c;
const DMACAP: u64 = 0x10;
const DCAOFFSET: u64 = 0x14;
/// Bytes of a page of registers.
const PAGE: u64 = 0x80;
const CHANCTRL: u64 = 0x00;
const DMA_COMP: u64 = 0x02;
const CHANCMD: u64 = 0x04;
const DMACOUNT: u64 = 0x06;
const CHANSTS: u64 = 0x08;
const CHAINADDR: u64 = 0x10;
const CHANCMP: u64 = 0x18;
const CDAR: u64 = 0x20;
const CHANERR: u64 = 0x28;
const CHANERRMASK: u64 = 0x2c;
const DCACTRL: u64 = 0x30;
/// `CHANERR_INT` in config space.
const CHANERR_INT: u64 = 0x180;

/// The values of bits 2:0 of `CHANSTS`.
const ACTIVE: u64 = 0;
const DONE: u64 = 1;
const SUSPENDED: u64 = 2;
const HALTED: u64 = 3;

/// Bits of `CHANERR`.
mod error {
    pub(super) const NEXT_ADDRESS: u32 = 0x4;
    pub(super) const ALIGNMENT: u32 = 0x8;
    pub(super) const READ_DATA: u32 = 0x100;
    pub(super) const WRITE_DATA: u32 = 0x200;
    pub(super) const CONTROL: u32 = 0x400;
    pub(super) const LENGTH: u32 = 0x800;
    pub(super) const COMPLETION_ADDRESS: u32 = 0x1000;
}

const PMCSR: u64 = 0xe4;
const MSI_CONTROL: u64 = 0x62;
const MSIX_CONTROL: u64 = 0x82;
/// Channel 0.
const CHANNEL: u64 = PAGE;
/// Addresses of the tests' chain and of the word for completions.
const RING: u64 = 0x1000;
const COMPLETION: u64 = 0x800;
/// Past the end of memory.
const NOWHERE: u64 = 1 << 40;
const RESET: u8 = 0x20;
const SUSPEND: u8 = 0x04;
/// The value that ioatdma writes: arm, and all actions after an error.
const RUN: u16 = 0x1d;

impl Bench {
    fn engine(set: &[(&str, &str)]) -> Self {
        let mut bench = Self::builtin("ioat", set);
        bench.write_u64(CHANNEL + CHANCMP, COMPLETION);
        bench.write_bytes(0, CHANNEL + CHANCTRL, &RUN.to_le_bytes());
        bench
    }

    fn write_u64(&mut self, offset: u64, value: u64) {
        self.write_bytes(0, offset, &value.to_le_bytes());
    }

    fn channel_status(&mut self) -> (u64, u64) {
        let status = u64::from_le_bytes(self.read_bytes(0, CHANNEL + CHANSTS));
        (status & !0x3f, status & 7)
    }

    fn state(&mut self) -> u64 {
        self.channel_status().1
    }

    fn completion(&self) -> u64 {
        let word = self.memory[COMPLETION as usize..][..8].try_into();
        u64::from_le_bytes(word.expect("eight bytes"))
    }

    /// Puts a descriptor into memory, with a pointer to the next one in order.
    fn descriptor(&mut self, index: u64, control: u32, source: u64, destination: u64, size: u32) {
        let at = RING + 0x40 * index;
        let words = [
            u64::from(control) << 32 | u64::from(size),
            source,
            destination,
            at + 0x40,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.memory[at as usize..][..0x20].copy_from_slice(&bytes);
    }

    fn chain(&mut self, count: u16) {
        self.write_u64(CHANNEL + CHAINADDR, RING);
        self.hand_over(count);
    }

    fn hand_over(&mut self, count: u16) {
        self.write_bytes(0, CHANNEL + DMACOUNT, &count.to_le_bytes());
    }

    fn command(&mut self, command: u8) {
        self.write_bytes(0, CHANNEL + CHANCMD, &[command]);
    }

    fn run(&mut self) {
        while self.serve_dma() {}
    }
}

fn control(completion: bool, interrupt: bool) -> u32 {
    u32::from(completion) << 3 | u32::from(interrupt)
}

const NULL: u32 = 1 << 5;

/// Offset, width, value after power-on, value after all ones were written.
const GLOBAL: [(u64, usize, u32, u32); 9] = [
    (CHANCNT, 1, 1, 1),
    (XFERCAP, 1, 16, 16),
    (GENCTRL, 1, 0, 0xff),
    (INTRCTRL, 1, 0, 0x09),
    (ATTNSTATUS, 4, 0, 0),
    (VER, 1, 0x33, 0x33),
    (INTRDELAY, 2, 0, 0x3fff),
    (DMACAP, 4, 0, 0),
    (DCAOFFSET, 2, 0, 0),
];

const OF_A_CHANNEL: [(u64, usize, u32, u32); 19] = [
    (CHANCTRL, 2, 0, 0xfffe),
    (DMA_COMP, 2, 0, 0xffff),
    // The reset that this asks for is done at once, and leaves nothing else to be seen.
    (CHANCMD, 1, 0, 0),
    (DMACOUNT, 2, 0, 0xffff),
    (CHANSTS, 4, 3, 3),
    (CHANSTS + 4, 4, 0, 0),
    (CHAINADDR, 4, 0, u32::MAX),
    (CHAINADDR + 4, 4, 0, u32::MAX),
    (CHANCMP, 4, 0, u32::MAX),
    (CHANCMP + 4, 4, 0, u32::MAX),
    (CDAR, 4, 0, 0),
    (CDAR + 4, 4, 0, 0),
    (CHANERR, 4, 0, 0),
    (CHANERRMASK, 4, 0, u32::MAX),
    (DCACTRL, 4, 0, u32::MAX),
    (0x34, 4, 0, 0),
    (0x7c, 4, 0, 0),
    // The next channel, which is not there.
    (0x80 + CHAINADDR, 4, 0, 0),
    (0x80 + CHANSTS, 4, 0, 0),
];

#[test]
fn registers_after_power_on_and_what_writes_leave_there() {
    let channel = OF_A_CHANNEL.map(|(at, width, reset, after)| (CHANNEL + at, width, reset, after));
    for (offset, width, reset, after) in GLOBAL.into_iter().chain(channel) {
        let mut bench = Bench::builtin("ioat", &[]);
        let read = |bench: &mut Bench| {
            let dword = bench.read(0, offset & !3) >> (8 * (offset % 4));
            dword & (u32::MAX >> (32 - 8 * width))
        };
        assert_eq!(read(&mut bench), reset, "{offset:#x}");
        bench.write_bytes(0, offset, &[0xff; 4][..width]);
        assert_eq!(read(&mut bench), after, "{offset:#x}");
        bench.function.reset(bench.now, ResetKind::Flr);
        bench.config(COMMAND, ENABLE);
        assert_eq!(read(&mut bench), reset, "{offset:#x} after a reset");
    }
}

#[test]
fn parameters_are_what_the_registers_say() {
    let set = [
        ("model.channels", "4"),
        ("model.transfer-cap", "20"),
        ("model.version", "0x34"),
        ("model.capabilities", "0x800000"),
    ];
    let mut bench = Bench::builtin("ioat", &set);
    assert_eq!(bench.read(0, CHANCNT) & 0xffff, 0x1404);
    assert_eq!(bench.read(0, VER), 0x34);
    assert_eq!(bench.read(0, DMACAP), 0x0080_0000);
    for channel in 1..=4 {
        assert_eq!(bench.read(0, channel * PAGE + CHANSTS), 3);
    }
    assert_eq!(bench.read(0, 5 * PAGE + CHANSTS), 0);
}

#[test]
fn a_chain_is_copied_counted_completed_and_interrupts_last() {
    let mut bench = Bench::engine(&[]);
    bench.config(MSI_CONTROL, 1);
    bench.write_bytes(0, INTRCTRL, &[0x01]);
    bench.memory[0x10_0000..0x10_0100].fill(0xa5);
    bench.descriptor(0, control(false, false), 0x10_0000, 0x20_0001, 0x80);
    bench.descriptor(1, NULL | control(false, false), 0, 0, 1);
    bench.descriptor(2, control(true, true), 0x10_0080, 0x20_0081, 0x7f);
    bench.chain(3);
    assert_eq!(bench.state(), ACTIVE);
    bench.run();
    assert_eq!(bench.channel_status(), (RING + 0x80, DONE));
    assert_eq!(bench.completion() & !0x3f, RING + 0x80);
    assert_eq!(bench.memory[0x20_0000..0x20_0001], [0]);
    assert_eq!(bench.memory[0x20_0001..0x20_0100], [0xa5; 0xff]);
    assert_eq!(bench.memory[0x20_0100..0x20_0101], [0]);
    assert_eq!(bench.messages(), [(MessageKind::Msi, 0)]);
    // More of the same chain.
    bench.descriptor(3, control(true, true), 0x10_0000, 0x20_0100, 0x10);
    bench.hand_over(4);
    bench.run();
    assert_eq!(bench.channel_status(), (RING + 0xc0, DONE));
    assert_eq!(bench.memory[0x20_0100..0x20_0110], [0xa5; 0x10]);
}

#[test]
fn a_descriptor_that_is_its_own_successor_is_done_as_often_as_asked() {
    let mut bench = Bench::engine(&[]);
    for count in [3_u16, 0xffff] {
        bench.descriptor(0, NULL, 0, 0, 1);
        bench.memory[RING as usize + 0x18..][..8].copy_from_slice(&RING.to_le_bytes());
        bench.chain(count);
        let mut transfers = 0;
        while bench.serve_dma() {
            transfers += 1;
        }
        assert_eq!(transfers, u32::from(count));
        assert_eq!(bench.state(), DONE);
    }
}

#[test]
fn errors_stop_the_chain_where_they_are() {
    let copy = control(true, true);
    // Bytes from the beginning of a descriptor: control, source, destination, size; the chain's
    // address; the error.
    for (name, descriptor, chain, bits) in [
        (
            "source",
            (copy, NOWHERE, 0, 4),
            RING + 0x40,
            error::READ_DATA,
        ),
        (
            "destination",
            (copy, 0, NOWHERE, 4),
            RING + 0x40,
            error::WRITE_DATA,
        ),
        (
            "destination's end",
            (copy, 0, (4 << 20) - 4, 8),
            RING + 0x40,
            error::WRITE_DATA,
        ),
        ("no bytes", (copy, 0, 0, 0), RING + 0x40, error::LENGTH),
        (
            "too many",
            (copy, 0, 0, 0x1_0001),
            RING + 0x40,
            error::LENGTH,
        ),
        (
            "XOR",
            (copy | 0x87 << 24, 0, 0, 4),
            RING + 0x40,
            error::CONTROL,
        ),
        ("chain", (copy, 0, 0, 4), NOWHERE, error::NEXT_ADDRESS),
        ("alignment", (copy, 0, 0, 4), RING + 0x60, error::ALIGNMENT),
    ] {
        let mut bench = Bench::engine(&[]);
        bench.config(MSI_CONTROL, 1);
        bench.write_bytes(0, INTRCTRL, &[0x01]);
        bench.descriptor(0, NULL, 0, 0, 1);
        let (control, source, destination, size) = descriptor;
        bench.descriptor(1, control, source, destination, size);
        bench.memory[RING as usize + 0x18..][..8].copy_from_slice(&chain.to_le_bytes());
        bench.chain(2);
        bench.run();
        assert_eq!(bench.channel_status(), (RING, HALTED), "{name}");
        assert_eq!(bench.read(0, CHANNEL + CHANERR), bits, "{name}");
        assert_eq!(bench.completion(), RING | 3, "{name}");
        assert_eq!(bench.messages().len(), 1, "{name}");
        let mut shown = [0; 4];
        bench
            .function
            .config_read(bench.now, CHANERR_INT, &mut shown);
        assert_eq!(u32::from_le_bytes(shown), bits, "{name}");

        // Nothing runs before the error is cleared; then the driver begins a chain behind it.
        bench.hand_over(2);
        assert!(bench.waiting.is_empty(), "{name}");
        bench.write(0, CHANNEL + CHANERR, !bits);
        assert_eq!(bench.read(0, CHANNEL + CHANERR), bits, "{name}");
        bench.write(0, CHANNEL + CHANERR, bits);
        assert_eq!(bench.read(0, CHANNEL + CHANERR), 0, "{name}");
        bench.command(RESET);
        assert_eq!(bench.read(0, CHANNEL + CHANCMD) & 0xff, 0, "{name}");
        assert_eq!(bench.channel_status(), (0, HALTED), "{name}");
        bench.descriptor(0, NULL, 0, 0, 1);
        bench.chain(1);
        bench.run();
        assert_eq!(bench.channel_status(), (RING, DONE), "{name}");
    }
}

#[test]
fn an_error_says_nothing_unless_told_to() {
    let mut bench = Bench::engine(&[]);
    let quiet: u16 = 0x01; // armed, and nothing that an error can do
    bench.config(MSI_CONTROL, 1);
    bench.write_bytes(0, INTRCTRL, &[0x01]);
    bench.write_bytes(0, CHANNEL + CHANCTRL, &quiet.to_le_bytes());
    bench.descriptor(0, control(true, true), NOWHERE, 0, 4);
    bench.chain(1);
    bench.run();
    assert_eq!(bench.state(), HALTED);
    assert_eq!((bench.completion(), bench.messages().len()), (0, 0));
}

#[test]
fn a_completion_that_cannot_be_written_is_an_error_itself() {
    let mut bench = Bench::engine(&[]);
    bench.write_u64(CHANNEL + CHANCMP, NOWHERE);
    bench.descriptor(0, control(true, false), 0, 0x100, 4);
    bench.chain(1);
    bench.run();
    assert_eq!(bench.state(), HALTED);
    assert_eq!(bench.read(0, CHANNEL + CHANERR), error::COMPLETION_ADDRESS);
}

#[test]
fn commands_wait_for_the_descriptor_at_hand_and_end_all_transfers() {
    for (command, state) in [(SUSPEND, SUSPENDED), (RESET, HALTED)] {
        let mut bench = Bench::engine(&[]);
        for index in 0..4 {
            bench.descriptor(index, control(true, false), 0, 0x100, 4);
        }
        bench.chain(4);
        bench.serve_dma();
        bench.command(command);
        assert_eq!(bench.read(0, CHANNEL + CHANCMD) & 0xff, u32::from(command));
        assert_eq!(bench.state(), ACTIVE);
        bench.run();
        assert_eq!(bench.read(0, CHANNEL + CHANCMD) & 0xff, 0);
        assert_eq!(bench.state(), state);
        assert_eq!(bench.completion() & !0x3f, RING, "one was done");
    }
}

#[test]
fn a_suspended_channel_goes_on_where_it_was_and_a_halted_one_is_not_suspended() {
    let mut bench = Bench::engine(&[]);
    bench.command(SUSPEND);
    assert_eq!(bench.state(), HALTED);
    for index in 0..4 {
        bench.descriptor(index, control(true, false), 0, 0x100, 4);
    }
    bench.chain(2);
    bench.run();
    bench.command(SUSPEND);
    assert_eq!(bench.channel_status(), (RING + 0x40, SUSPENDED));
    bench.hand_over(4);
    bench.run();
    assert_eq!(bench.channel_status(), (RING + 0xc0, DONE));
}

#[test]
fn an_armed_channel_interrupts_once_and_remembers_one_more() {
    let mut bench = Bench::engine(&[]);
    bench.config(MSIX_CONTROL, 0x8000);
    bench.write(0, 0x100c, 0);
    bench.write_bytes(0, INTRCTRL, &[0x08]);
    for index in 0..3 {
        bench.descriptor(index, NULL | control(false, true), 0, 0, 1);
    }
    bench.chain(3);
    bench.run();
    assert_eq!(bench.messages(), [(MessageKind::Msix, 0)]);
    bench.write_bytes(0, CHANNEL + CHANCTRL, &RUN.to_le_bytes());
    assert_eq!(bench.messages().len(), 2, "one is remembered");
    bench.write_bytes(0, CHANNEL + CHANCTRL, &RUN.to_le_bytes());
    assert_eq!(bench.messages().len(), 2, "and no more");
}

#[test]
fn the_wire_follows_attention_and_master_enable() {
    let mut bench = Bench::engine(&[("model.channels", "2")]);
    bench.write_bytes(0, 2 * PAGE + CHANCTRL, &RUN.to_le_bytes());
    bench.descriptor(0, NULL | control(false, true), 0, 0, 1);
    bench.write_u64(2 * PAGE + CHAINADDR, RING);
    bench.write_bytes(0, 2 * PAGE + DMACOUNT, &[1, 0]);
    bench.run();
    assert!(bench.intx_levels().is_empty(), "not enabled");
    assert_eq!(bench.read(0, 0) >> 24, 0x02);
    bench.write_bytes(0, INTRCTRL, &[0x01]);
    assert_eq!(bench.intx_levels(), [true]);
    assert_eq!(bench.read(0, 0) >> 24, 0x07);
    bench.write_bytes(0, INTRCTRL, &[0x00]);
    bench.write_bytes(0, INTRCTRL, &[0x01]);
    assert_eq!(bench.intx_levels(), [true, false, true]);
    assert_eq!(bench.read(0, ATTNSTATUS), 0b10);
    assert_eq!(bench.intx_levels(), [true, false, true, false]);
    assert_eq!(bench.read(0, ATTNSTATUS), 0);
}

#[test]
fn without_the_bus_a_chain_stops_but_nothing_is_wrong_with_it() {
    let asleep = |bench: &mut Bench| {
        bench.config(PMCSR, D3HOT);
        bench.run();
        bench.config(PMCSR, D0);
    };
    let no_bus = |bench: &mut Bench| {
        bench.config(COMMAND, 0x0003);
        bench.run();
    };
    let steps: [fn(&mut Bench); 2] = [asleep, no_bus];
    for step in steps {
        let mut bench = Bench::engine(&[]);
        bench.descriptor(0, control(true, true), 0, 0x100, 4);
        bench.descriptor(1, control(true, true), 0, 0x100, 4);
        bench.chain(2);
        step(&mut bench);
        assert_eq!(bench.state(), HALTED);
        assert_eq!(bench.read(0, CHANNEL + CHANERR), 0);
        assert_eq!(bench.completion() & 7, 0);
        bench.config(COMMAND, ENABLE);
        bench.hand_over(2);
        bench.run();
        assert_eq!(bench.channel_status(), (RING + 0x40, DONE));
    }
}

#[test]
fn a_state_of_an_engine_with_other_parameters_is_refused() {
    let of = |set| Bench::builtin("ioat", set);
    let (one, two) = (of(&[]), of(&[("model.channels", "2")]));
    let mut into = of(&[]);
    let saved = one.function.save(one.now);
    assert_eq!(into.function.restore(into.now, &saved), Ok(()));
    let mut tampered = saved.clone();
    tampered["model"]["channels"] = json!([]);
    for saved in [two.function.save(two.now), tampered] {
        let error = into.function.restore(into.now, &saved).unwrap_err();
        assert!(error.to_string().starts_with("function.model: "), "{error}");
    }
}

proptest! {
    /// Checks after any writes that transfers end, read-only bits stay, and the engine works after
    /// a reset.
    #[test]
    fn any_accesses_leave_a_working_engine(
        accesses in prop::collection::vec((0_u64..0x60, prop_oneof![any::<u32>(), 0_u32..0x2000], any::<bool>(), 0_usize..4), 0..100),
        memory in prop::collection::vec(any::<u8>(), 0x100),
    ) {
        let mut bench = Bench::engine(&[("model.channels", "2")]);
        for (index, piece) in (0_u64..).zip(memory.chunks(2)) {
            // Copies, and what are none; of chains that lead anywhere.
            bench.descriptor(index % 0x40, u32::from(piece[0]), u64::from(piece[1]) << 16, 0x2000, piece[1].into());
        }
        for (index, value, write, steps) in accesses {
            if write {
                bench.write(0, 4 * index, value);
            } else {
                bench.read(0, 4 * index);
            }
            for _ in 0..steps {
                bench.serve_dma();
            }
            prop_assert!(bench.waiting.len() <= 2, "a transfer for each channel");
            prop_assert_eq!(bench.read(0, CHANCNT) & 0xffff, 0x1002);
            let attention = bench.read(0, CHANCNT) >> 25 & 1;
            prop_assert_eq!(bench.read(0, ATTNSTATUS) != 0, attention == 1);
        }
        for channel in [CHANNEL, CHANNEL + PAGE] {
            bench.write_bytes(0, channel + CHANCMD, &[RESET]);
        }
        for _ in 0..8 {
            bench.serve_dma();
        }
        prop_assert!(bench.waiting.is_empty());
        for channel in [CHANNEL, CHANNEL + PAGE] {
            prop_assert_eq!(bench.read(0, channel + CHANCMD), 0);
            prop_assert_eq!(bench.read(0, channel + CHANSTS), HALTED as u32);
            prop_assert_eq!(bench.read(0, channel + CHANERR), 0);
        }
        bench.descriptor(0, control(false, false), 0x10_0000, 0x20_0000, 4);
        bench.memory[0x10_0000..0x10_0004].copy_from_slice(b"data");
        bench.chain(1);
        bench.run();
        prop_assert_eq!(bench.channel_status(), (RING, DONE));
        prop_assert_eq!(&bench.memory[0x20_0000..0x20_0004], b"data");
    }

    /// Checks that the channel does the same as a loop over the descriptors, for any descriptors
    /// and any suspends.
    #[test]
    fn a_chain_does_what_its_descriptors_say(
        copies in prop::collection::vec((0_u64..0x100, 0_u64..0x100, 1_u32..0x40, any::<bool>()), 1..40),
        suspends in prop::collection::vec(0_usize..100, 0..6),
        seed in any::<[u8; 0x140]>(),
    ) {
        let mut bench = Bench::engine(&[]);
        bench.memory[0x10_0000..][..0x140].copy_from_slice(&seed);
        let mut expected = seed.to_vec();
        for (index, (from, to, size, null)) in copies.iter().enumerate() {
            let kind = if *null { NULL } else { 0 };
            bench.descriptor(index as u64, kind | control(true, true), 0x10_0000 + from, 0x10_0000 + to, *size);
            if !null {
                expected.copy_within(*from as usize..(*from + u64::from(*size)) as usize, *to as usize);
            }
        }
        let count = copies.len() as u16;
        bench.chain(count);
        for step in 0.. {
            if suspends.contains(&step) {
                bench.command(SUSPEND);
            }
            if !bench.serve_dma() {
                if bench.state() == DONE {
                    break;
                }
                bench.hand_over(count);
            }
        }
        let last = RING + 0x40 * (u64::from(count) - 1);
        prop_assert_eq!(bench.channel_status().0, last);
        prop_assert_eq!(bench.completion() & !0x3f, last);
        prop_assert_eq!(&bench.memory[0x10_0000..][..0x140], &expected);
    }
}
