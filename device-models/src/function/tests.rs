use proptest::prelude::*;

use super::*;
use crate::capability::{
    AdvancedErrorReporting, AerConfig, Msix, MsixConfig, PciExpress, PcieConfig, PmConfig,
    PowerManagement,
};
use crate::config::{AnyCapability, BarKind, HeaderConfig, Placement};
use crate::dma::DmaOp;
use crate::effect::FunctionEvent;
use crate::model::{Model, ModelState};
use crate::register::{DwordWrite, Lanes, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::violation::Violation;

const PM: u64 = 0x40;
const PMCSR: u64 = PM + 4;
const MSIX: u64 = 0x50;
const PCIE: u64 = 0x60;

/// A model that starts a transfer on a write to 0, interrupts on a write to 4, and keeps notes.
#[derive(Debug, Default)]
struct Probe {
    written: u32,
    outcomes: Vec<(u32, Option<DmaError>)>,
    started: u32,
    refusals: Vec<DmaError>,
}

impl Model for Probe {
    fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
        self.written
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        match offset {
            0 => {
                let op = DmaOp::Copy {
                    from: 0,
                    to: 0x1000,
                    len: 16,
                };
                match cx.dma(self.started, op) {
                    Ok(()) => self.started += 1,
                    Err(error) => self.refusals.push(error),
                }
            }
            4 => cx.interrupt(write.value() as u16),
            _ => self.written = write.merge(self.written),
        }
    }

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {
        self.written = 0;
    }

    fn dma_done(&mut self, _: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        self.outcomes.push((tag, outcome.err()));
    }

    fn inspect(&self) -> Value {
        json!({
            "started": self.started,
            "outcomes": self.outcomes.len(),
            "aborted": self
                .outcomes
                .iter()
                .filter(|(_, error)| *error == Some(DmaError::Aborted))
                .count(),
            "refusals": self.refusals,
        })
    }
}

impl ModelState for Probe {
    fn save(&self) -> Value {
        json!(self.written)
    }

    fn restore(&mut self, saved: &Value) -> Result<(), RestoreError> {
        self.written = snapshot::read(snapshot::MODEL, saved)?;
        Ok(())
    }
}

fn function(pm: PmConfig, delays: Delays) -> Function {
    let place = |offset, capability| Placement {
        offset,
        linked: true,
        capability,
    };
    let msix = MsixConfig {
        vectors: 4,
        table_bar: 1,
        ..MsixConfig::default()
    };
    let aux_power = true;
    let placements = vec![
        place(
            PM as u16,
            AnyCapability::PowerManagement(PowerManagement::new(&pm, aux_power).unwrap()),
        ),
        place(MSIX as u16, AnyCapability::Msix(Msix::new(&msix).unwrap())),
        place(
            PCIE as u16,
            AnyCapability::PciExpress(PciExpress::new(&PcieConfig::default(), aux_power).unwrap()),
        ),
        place(
            0x100,
            AnyCapability::AdvancedErrorReporting(
                AdvancedErrorReporting::new(&AerConfig::default()).unwrap(),
            ),
        ),
    ];
    let bar = |size| {
        Some(BarConfig {
            kind: BarKind::Memory32,
            prefetchable: false,
            size,
        })
    };
    let header = HeaderConfig {
        vendor_id: 0x1234,
        device_id: 0x5678,
        interrupt_pin: 1,
        bars: [bar(0x1000), bar(0x1000), bar(0x1000), None, None, None],
        ..HeaderConfig::default()
    };
    let mut contents = [BarContent::Model; MAX_BARS];
    contents[2] = BarContent::Ram;
    Function::new(FunctionParts {
        config: ConfigSpace::new(&header, placements, true).unwrap(),
        contents,
        mappable: Vec::new(),
        rom: Vec::new(),
        delays,
        doorbells: Vec::new(),
        model: Box::new(Probe::default()),
    })
}

fn every_state() -> PmConfig {
    PmConfig {
        pme_from: PowerState::ALL.to_vec(),
        d1: true,
        d2: true,
        no_soft_reset: true,
        ..PmConfig::default()
    }
}

/// A time so late that no recovery time matters.
const NOW: Time = Time::from_nanos(1_000_000_000_000);

fn write(function: &mut Function, offset: u64, value: u16) {
    function.config_write(NOW, offset, &value.to_le_bytes());
}

fn read(function: &mut Function, offset: u64) -> u16 {
    let mut data = [0; 2];
    function.config_read(NOW, offset, &mut data);
    u16::from_le_bytes(data)
}

fn bar_write(function: &mut Function, offset: u64, value: u32) {
    function.write(NOW, Target::Bar(0), offset, &value.to_le_bytes());
}

fn bar_read(function: &mut Function, bar: u8, offset: u64) -> u32 {
    let mut data = [0; 4];
    function.read(NOW, Target::Bar(bar), offset, &mut data);
    u32::from_le_bytes(data)
}

fn effects(function: &mut Function) -> Vec<Effect> {
    std::iter::from_fn(|| function.next_effect()).collect()
}

fn messages(function: &mut Function) -> Vec<u16> {
    effects(function)
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Message { vector, .. } => Some(vector),
            _ => None,
        })
        .collect()
}

fn transfers(function: &mut Function) -> Vec<DmaId> {
    effects(function)
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Dma(request) => Some(request.id),
            _ => None,
        })
        .collect()
}

/// Memory decoding, bus mastering, MSI-X on, all vectors unmasked.
fn running(pm: PmConfig) -> Function {
    let mut function = function(pm, Delays::Report);
    write(&mut function, 0x04, 0x0006);
    write(&mut function, MSIX + 2, 0x8000);
    for vector in 0..4 {
        function.set_msix_masked(vector, false);
    }
    effects(&mut function);
    function
}

#[test]
fn a_vector_raised_asleep_is_sent_once_on_return_to_d0() {
    let mut function = running(every_state());
    write(&mut function, PMCSR, 3);
    function.interrupt(2);
    function.interrupt(2);
    assert!(messages(&mut function).is_empty());
    assert_eq!(bar_read(&mut function, 1, 0x800), u32::MAX);
    write(&mut function, PMCSR, 0);
    assert_eq!(messages(&mut function), [2]);
    assert_eq!(bar_read(&mut function, 1, 0x800), 0, "nothing pending");
}

#[test]
fn an_internal_reset_drops_what_was_held() {
    let mut function = running(PmConfig {
        no_soft_reset: false,
        ..every_state()
    });
    bar_write(&mut function, 8, 7);
    function.write(NOW, Target::Bar(2), 0, &[1, 2, 3, 4]);
    write(&mut function, PMCSR, 3);
    function.interrupt(2);
    write(&mut function, PMCSR, 0);
    assert!(messages(&mut function).is_empty());
    write(&mut function, 0x04, 0x0006);
    assert_eq!(bar_read(&mut function, 0, 8), 0);
    assert_eq!(bar_read(&mut function, 2, 0), 0);
    assert_eq!(function.counters().resets, 1);
}

#[test]
fn transfers_end_with_the_power_state_in_which_they_began() {
    let mut function = running(every_state());
    bar_write(&mut function, 0, 1);
    let [first] = transfers(&mut function)[..] else {
        panic!("one transfer");
    };
    assert!(function.dma_is_live(first));
    assert_eq!(
        read(&mut function, PCIE + 0xa) & 0x20,
        0x20,
        "Transactions Pending"
    );
    write(&mut function, PMCSR, 3);
    assert!(!function.dma_is_live(first));
    assert_eq!(
        read(&mut function, PCIE + 0xa) & 0x20,
        0x20,
        "until drained"
    );
    function.dma_done(NOW, first, Ok(&[]));
    assert_eq!(read(&mut function, PCIE + 0xa) & 0x20, 0);
    let model = function.model.inspect();
    assert_eq!(
        (&model["outcomes"], &model["aborted"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn an_outcome_from_before_a_reset_is_dropped() {
    let mut function = running(every_state());
    bar_write(&mut function, 0, 1);
    let id = transfers(&mut function)[0];
    function.reset(NOW, ResetKind::Flr);
    assert!(!function.dma_is_live(id));
    assert_eq!(read(&mut function, PCIE + 0xa) & 0x20, 0);
    function.dma_done(NOW, id, Ok(&[]));
    assert_eq!(function.model.inspect()["outcomes"], json!(0));
}

#[test]
fn no_transfer_starts_without_bus_mastering() {
    let mut function = running(every_state());
    write(&mut function, 0x04, 0x0002);
    bar_write(&mut function, 0, 1);
    assert!(transfers(&mut function).is_empty());
    assert_eq!(
        function.model.inspect()["refusals"],
        json!(["bus-master-off"])
    );
}

#[test]
fn a_hole_in_memory_sets_received_master_abort() {
    let mut function = running(every_state());
    bar_write(&mut function, 0, 1);
    let id = transfers(&mut function)[0];
    function.dma_done(NOW, id, Err(DmaError::Unmapped { address: 0 }));
    assert_eq!(read(&mut function, 0x06) & 0x2000, 0x2000);
}

#[test]
fn an_unsupported_request_is_logged_in_both_places() {
    let mut function = running(every_state());
    write(&mut function, PMCSR, 3);
    assert_eq!(bar_read(&mut function, 0, 8), u32::MAX);
    assert_eq!(
        read(&mut function, PCIE + 0xa) & 0xf,
        0x9,
        "advisory: correctable"
    );
    assert_eq!(read(&mut function, 0x110) & 0x2000, 0x2000);
    bar_write(&mut function, 8, 1);
    assert_eq!(
        read(&mut function, PCIE + 0xa) & 0xf,
        0xb,
        "posted: non-fatal"
    );
    assert_eq!(read(&mut function, 0x106) & 0x10, 0x10);
    assert_eq!(function.counters().outside_d0, 2);
}

#[test]
fn delays_are_reported_or_enforced() {
    let at = |millis: u64| Time::from_nanos(NOW.as_nanos() + millis * 1_000_000);
    for (delays, early, violations) in [
        (Delays::Off, 0x0008, 0),
        (Delays::Report, 0x0008, 1),
        (Delays::Enforce, 0xffff, 1),
    ] {
        let mut function = function(every_state(), delays);
        write(&mut function, PMCSR, 3);
        let mut data = [0; 2];
        function.config_write(at(20), PMCSR, &[0, 0]);
        function.config_read(at(29), PMCSR, &mut data);
        assert_eq!(u16::from_le_bytes(data), early, "{delays:?}");
        function.config_read(at(30), PMCSR, &mut data);
        assert_eq!(u16::from_le_bytes(data), 0x0008, "{delays:?}");
        assert_eq!(function.violations().counts["too-early"], violations);
    }
}

#[test]
fn immediate_readiness_on_return_to_d0_needs_no_wait() {
    let mut function = function(
        PmConfig {
            immediate_readiness: true,
            ..every_state()
        },
        Delays::Enforce,
    );
    let later = NOW.after(Duration::from_millis(20));
    write(&mut function, PMCSR, 3);
    function.config_write(later, PMCSR, &[0, 0]);
    let mut data = [0; 2];
    function.config_read(later, PMCSR, &mut data);
    assert_eq!(u16::from_le_bytes(data), 0x0008);
}

#[test]
fn pm_pme_is_repeated_until_somebody_clears_the_status() {
    let mut function = running(every_state());
    write(&mut function, PMCSR, 0x0103);
    effects(&mut function);
    function.pme_event(NOW);
    assert_eq!(function.counters().pm_pme, 1);
    let due = function.next_deadline().unwrap();
    assert_eq!(due.since(NOW), Duration::from_millis(100));
    function.advance(due);
    assert_eq!(function.counters().pm_pme, 2);
    write(&mut function, PMCSR, 0x8103);
    assert_eq!(function.next_deadline(), None);
}

#[test]
fn the_wake_signal_lasts_from_the_event_to_power_on() {
    let mut function = running(every_state());
    write(&mut function, PMCSR, 0x0103);
    function.power_off(NOW);
    effects(&mut function);
    function.pme_event(NOW);
    let wake = |function: &mut Function| -> Vec<bool> {
        effects(function)
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Event(FunctionEvent::Wake { asserted }) => Some(asserted),
                _ => None,
            })
            .collect()
    };
    assert_eq!(wake(&mut function), [true]);
    assert_eq!(read(&mut function, PMCSR), 0xffff);
    function.power_on(NOW);
    assert_eq!(wake(&mut function), [false]);
    assert_eq!(read(&mut function, PMCSR), 0x8108);
    assert_eq!(function.counters().pm_pme, 1);
}

#[test]
fn residency_adds_up() {
    let at = |millis: u64| Time::from_nanos(millis * 1_000_000);
    let mut function = function(every_state(), Delays::Off);
    function.config_write(at(10), PMCSR, &[1, 0]);
    function.config_write(at(30), PMCSR, &[3, 0]);
    function.power_off(at(60));
    let spent: Vec<u128> = PowerState::ALL
        .into_iter()
        .map(|state| function.residency(at(100), state).as_millis())
        .collect();
    assert_eq!(spent, [10, 20, 0, 30, 40]);
}

/// The state diagram in other words than those of the implementation: the edges, one by one.
const EDGES: [(u16, u16); 9] = [
    (0, 1),
    (0, 2),
    (0, 3),
    (1, 0),
    (1, 2),
    (1, 3),
    (2, 0),
    (2, 3),
    (3, 0),
];

proptest! {
    #[test]
    fn power_state_follows_the_edges_of_the_diagram(
        d1: bool,
        d2: bool,
        no_soft_reset: bool,
        writes in prop::collection::vec((any::<u16>(), 0_u64..2, 1_usize..3), 1..60),
    ) {
        let mut function = function(
            PmConfig { d1, d2, no_soft_reset, pme_from: vec![PowerState::D0, PowerState::D3hot], ..PmConfig::default() },
            Delays::Off,
        );
        let mut state = 0;
        for (value, at, len) in writes {
            let bytes = value.to_le_bytes();
            let len = len.min(2 - at as usize);
            function.config_write(NOW, PMCSR + at, &bytes[..len]);
            if at == 0 {
                let to = value & 3;
                let exists = [true, d1, d2, true][usize::from(to)];
                if exists && EDGES.contains(&(state, to)) {
                    state = to;
                }
            }
            let pmcsr = read(&mut function, PMCSR);
            prop_assert_eq!(pmcsr & 3, state);
            prop_assert_eq!(pmcsr & 0x60f4, 0, "reserved bits and an absent Data register");
            prop_assert_eq!(pmcsr & 8 != 0, no_soft_reset);
            prop_assert_eq!(function.power_state().bits() as u16, state);
        }
    }

    #[test]
    fn a_wide_config_write_equals_its_bytes(
        offset in 0_u64..0x150,
        data in prop::collection::vec(any::<u8>(), 1..16),
        states in prop::collection::vec(0_u8..4, 0..4),
    ) {
        let build = || {
            let mut function = running(PmConfig { no_soft_reset: true, ..every_state() });
            for state in &states {
                function.config_write(NOW, PMCSR, &[*state]);
            }
            function
        };
        let touches = |from: u64, len: u64| offset < from + len && from < offset + data.len() as u64;
        // Writing PMCSR or Initiate FLR acts in between; their single bytes are not the whole.
        prop_assume!(!touches(PMCSR, 2) && !touches(PCIE + 8, 2));
        let mut whole = build();
        whole.config_write(NOW, offset, &data);
        let mut bytes = build();
        for (at, byte) in data.iter().enumerate() {
            bytes.config_write(NOW, offset + at as u64, &[*byte]);
        }
        let (mut a, mut b) = (vec![0; 0x200], vec![0; 0x200]);
        whole.config_read(NOW, 0, &mut a);
        bytes.config_read(NOW, 0, &mut b);
        prop_assert_eq!(a, b);
    }

    #[test]
    fn read_only_config_never_changes(
        writes in prop::collection::vec((0_u64..0x180, prop::collection::vec(any::<u8>(), 1..9)), 0..40),
    ) {
        let mut function = function(every_state(), Delays::Off);
        let snapshot = |function: &mut Function| -> Vec<u8> {
            let mut identity = vec![0; 4];
            function.config_read(NOW, 0, &mut identity);
            for (offset, len) in [(0x08, 4), (0x0e, 1), (0x2c, 9), (0x3d, 3), (PM, 4), (PM + 6, 2), (MSIX + 4, 8), (PCIE + 4, 4), (0x100, 4)] {
                let mut data = vec![0; len];
                function.config_read(NOW, offset, &mut data);
                identity.extend(data);
            }
            identity
        };
        let before = snapshot(&mut function);
        for (offset, data) in writes {
            function.config_write(NOW, offset, &data);
        }
        prop_assert_eq!(snapshot(&mut function), before);
    }

    #[test]
    fn violations_never_go_unrecorded(to in 1_u8..3, from in 2_u8..4) {
        prop_assume!(to < from);
        let mut function = function(every_state(), Delays::Off);
        function.config_write(NOW, PMCSR, &[from]);
        effects(&mut function);
        function.config_write(NOW, PMCSR, &[to]);
        let seen = effects(&mut function).into_iter().any(|effect| matches!(
            effect,
            Effect::Event(FunctionEvent::Violation { violation: Violation::IllegalTransition { .. } })
        ));
        prop_assert!(seen);
    }
}
