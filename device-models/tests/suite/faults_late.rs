//! Faults of messages and transfers that are late, of an MSI-X table that is lost, and of PME.

use std::time::Duration;

use pci_device_models::dma::DmaRequest;
use pci_device_models::effect::{Effect, FunctionEvent};
use pci_device_models::fault::Fault;
use pci_device_models::function::{Function, Target};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use pci_device_models::register::ResetKind;
use pci_device_models::time::Time;

const COMMAND: u64 = 0x04;
const PMCSR: u64 = 0x44;

fn at(millis: u64) -> Time {
    Time::ZERO.after(Duration::from_millis(millis))
}

fn plain() -> Function {
    let text = Profile::builtin("testdev").unwrap();
    let set = [
        (
            "capabilities.pm.no-soft-reset".to_owned(),
            "true".to_owned(),
        ),
        ("platform.delays".to_owned(), "off".to_owned()),
    ];
    let profile = Profile::parse("testdev", text, &set).unwrap();
    profile.function(&Registry::builtin()).unwrap()
}

fn function(when: &str, what: &str) -> Function {
    let mut function = plain();
    let fault = Fault::new(when, what).unwrap().named("it");
    function.add_fault(at(0), fault).unwrap();
    function.config_write(at(0), COMMAND, &[6, 0]);
    function
}

fn effects(function: &mut Function) -> Vec<Effect> {
    std::iter::from_fn(|| function.next_effect()).collect()
}

fn sent(function: &mut Function) -> Vec<u16> {
    let effects = effects(function).into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::Message { vector, .. } => Some(vector),
            _ => None,
        })
        .collect()
}

fn transfers(function: &mut Function) -> Vec<DmaRequest> {
    let effects = effects(function).into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::Dma(request) => Some(request),
            _ => None,
        })
        .collect()
}

fn capability(function: &Function, name: &str) -> u64 {
    let mut all = function.config().capabilities();
    let found = all.find(|placed| placed.capability.get().name() == name);
    found.unwrap().offset.into()
}

/// Enables MSI with eight vectors.
fn enable_msi(function: &mut Function) {
    let msi = capability(function, "msi");
    function.config_write(at(0), msi + 2, &[0x31, 0]);
}

/// Enables MSI-X and unmasks vector 1.
fn enable_msix(function: &mut Function) {
    let msix = capability(function, "msix");
    function.config_write(at(0), msix + 2, &[0, 0x80]);
    function.write(at(0), Target::Bar(4), 0x1c, &[0; 4]);
}

fn mask(function: &mut Function) -> u32 {
    let mut data = [0; 4];
    function.read(at(0), Target::Bar(4), 0x1c, &mut data);
    u32::from_le_bytes(data)
}

#[test]
fn a_message_goes_out_late_and_in_order() {
    let mut function = function("interrupt first 2", "msi-late 5ms");
    enable_msi(&mut function);
    function.advance(at(1));
    function.interrupt(2);
    function.advance(at(2));
    function.interrupt(1);
    function.interrupt(3);
    assert_eq!(
        sent(&mut function),
        [3],
        "the third is none of its occurrences"
    );
    assert_eq!(function.next_deadline(), Some(at(6)));
    function.advance(at(6));
    assert_eq!(sent(&mut function), [2]);
    // A restored one sends the other at the same tick.
    let saved = function.save(at(6));
    let mut restored = plain();
    restored.restore(at(100), &saved).unwrap();
    assert_eq!(restored.save(at(100)), saved);
    for (function, due) in [(&mut function, 7), (&mut restored, 101)] {
        assert_eq!(function.next_deadline(), Some(at(due)));
        function.advance(at(due));
        assert_eq!(sent(function), [1]);
    }
}

#[test]
fn a_late_message_goes_as_the_function_then_allows() {
    type Meanwhile = fn(&mut Function);
    let cases: [(Meanwhile, &[u16], &[u16]); 5] = [
        (|_| {}, &[1], &[]),
        // It is pending until bus mastering is back, as one that is raised now.
        (
            |function| function.config_write(at(1), COMMAND, &[2, 0]),
            &[],
            &[1],
        ),
        (|function| function.withdraw(1), &[], &[]),
        (|function| function.reset(at(1), ResetKind::Flr), &[], &[]),
        (
            |function| {
                let msi = capability(function, "msi");
                function.config_write(at(1), msi + 2, &[0, 0]);
            },
            &[],
            &[],
        ),
    ];
    for (case, (meanwhile, due, later)) in cases.into_iter().enumerate() {
        let mut function = function("interrupt", "msi-late 5ms");
        enable_msi(&mut function);
        function.interrupt(1);
        meanwhile(&mut function);
        effects(&mut function);
        function.advance(at(5));
        assert_eq!(sent(&mut function), due, "{case}");
        function.remove_fault(at(6), "it").unwrap();
        function.config_write(at(6), COMMAND, &[6, 0]);
        assert_eq!(sent(&mut function), later, "{case}");
    }
}

#[test]
fn late_messages_are_bounded_and_the_next_goes_at_once() {
    let mut function = function("interrupt", "msi-late 5ms");
    enable_msi(&mut function);
    for _ in 0..258 {
        function.interrupt(1);
    }
    assert_eq!(sent(&mut function).len(), 2);
    function.advance(at(5));
    assert_eq!(sent(&mut function).len(), 256);
}

#[test]
fn the_msix_table_is_lost_where_everything_else_is_kept() {
    for (what, masked, kept) in [("msix-table-lost", 1, 1), ("pme-spurious", 0, 1)] {
        let mut function = function("d-state d3hot d0 first 1", what);
        enable_msix(&mut function);
        assert_eq!(mask(&mut function), 0);
        function.interrupt(1);
        assert_eq!(sent(&mut function), [1]);
        for state in [3, 0] {
            function.config_write(at(1), PMCSR, &[state]);
        }
        assert_eq!(mask(&mut function), masked, "{what}");
        let command = function.config().header().command();
        assert_eq!(u32::from(command.memory_space_enable()), kept, "{what}");
        function.interrupt(1);
        assert_eq!(sent(&mut function).len(), 1 - masked as usize, "{what}");
    }
}

/// Has the copy engine copy 4 bytes.
fn copy(function: &mut Function, now: u64) {
    for (register, value) in [
        (0x20, 0_u32),
        (0x28, 0x1000),
        (0x30, 4),
        (0x34, 1),
        (0x38, 1),
    ] {
        let bytes = value.to_le_bytes();
        function.write(at(now), Target::Bar(0), register, &bytes);
    }
}

#[test]
fn a_transfer_starts_late() {
    let mut function = function("dma first 1", "dma-late 5ms");
    copy(&mut function, 1);
    function.advance(at(5));
    assert_eq!(transfers(&mut function), []);
    let saved = function.save(at(5));
    let mut restored = plain();
    restored.restore(at(100), &saved).unwrap();
    assert_eq!(transfers(&mut restored), [], "it is still late");
    assert_eq!(restored.save(at(100)), saved);
    for (function, due) in [(&mut function, 6), (&mut restored, 101)] {
        assert_eq!(function.next_deadline(), Some(at(due)));
        function.advance(at(due));
        let request = transfers(function).pop().unwrap();
        function.dma_done(at(due), request.id, Ok(&[]));
        copy(function, due);
        assert_eq!(transfers(function).len(), 1, "the second is not late");
    }
}

#[test]
fn a_late_transfer_ends_where_the_function_leaves_d0_and_is_forgotten_at_a_reset() {
    type Meanwhile = fn(&mut Function);
    let cases: [Meanwhile; 2] = [
        |function| function.config_write(at(1), PMCSR, &[3]),
        |function| function.reset(at(1), ResetKind::Flr),
    ];
    for meanwhile in cases {
        let mut function = function("dma first 1", "dma-late 5ms");
        copy(&mut function, 0);
        meanwhile(&mut function);
        function.config_write(at(2), PMCSR, &[0]);
        function.config_write(at(2), COMMAND, &[6, 0]);
        effects(&mut function);
        function.advance(at(5));
        assert_eq!(transfers(&mut function), []);
        copy(&mut function, 6);
        assert_eq!(transfers(&mut function).len(), 1, "the engine works on");
    }
}

fn messages(function: &mut Function) -> usize {
    let effects = effects(function).into_iter();
    effects
        .filter(|effect| matches!(effect, Effect::Event(FunctionEvent::PmPme)))
        .count()
}

fn pme_status(function: &Function) -> bool {
    function.config().pm().unwrap().pmcsr().pme_status()
}

#[test]
fn pme_status_cannot_be_cleared_until_the_fault_ends() {
    let mut function = function("pme first 1", "pme-stuck 300ms");
    function.config_write(at(0), PMCSR + 1, &[1]);
    function.pme_event(at(0));
    assert_eq!(messages(&mut function), 1);
    function.config_write(at(1), PMCSR + 1, &[0x81]);
    assert!(pme_status(&function));
    function.advance(at(100));
    assert_eq!(messages(&mut function), 1, "and PME is signalled again");
    function.config_write(at(300), PMCSR + 1, &[0x81]);
    assert!(!pme_status(&function));
    function.advance(at(400));
    assert_eq!(messages(&mut function), 0);
}

#[test]
fn a_storm_sends_messages_however_often_pme_is_pending() {
    for (what, expected) in [("pme-storm", 10), ("pme-spurious", 1)] {
        let mut function = function("every 1ms first 10", what);
        function.config_write(at(0), PMCSR + 1, &[1]);
        for now in 1..=20 {
            function.advance(at(now));
        }
        assert_eq!(messages(&mut function), expected, "{what}");
    }
    // It is not signalled where it is not armed.
    let mut function = function("every 1ms first 10", "pme-storm");
    function.advance(at(20));
    assert_eq!(messages(&mut function), 0);
    assert!(pme_status(&function));
}
