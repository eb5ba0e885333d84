//! Interrupts: messages, masked and unmasked, and INTx.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Place, Tally};
use crate::raw::wire::irq;
use crate::raw::wire::set_irqs::{ACTION_TRIGGER, ACTION_UNMASK, DATA_NONE};
use crate::raw::{RawClient, SetIrqs};
use crate::testdev::{Driver, VECTORS, register, signals};

/// The BAR with the MSI-X table; an entry's Vector Control.
const TABLE: u32 = 4;
const ENTRY: u64 = 16;
const VECTOR_CONTROL: u64 = 12;
/// Number of messages that are raised before they are counted.
const BURST: u64 = 50;

pub(super) fn run(place: &Place, tally: &mut Tally, until: Instant) -> Result<()> {
    let (mut driver, events) = Driver::with_messages(&place.socket)?;
    let intx = driver.bind(irq::INTX, 1)?;
    // A client that writes the table owns all of it, and a reset leaves each vector masked.
    for vector in 0..VECTORS {
        mask(&mut driver.client, vector, false)?;
    }
    let mut random = fastrand::Rng::new();
    while Instant::now() < until {
        let mut raised = [0; VECTORS as usize];
        for _ in 0..BURST {
            let vector = random.u32(..VECTORS);
            driver.set_register(register::IRQ_TRIGGER, vector)?;
            raised[vector as usize] += 1;
        }
        tally.sent("messages", BURST);
        for (event, raised) in events.iter().zip(raised) {
            let came = event.take()?;
            ensure!(came == raised, "{raised} messages raised, {came} came");
            tally.arrived("messages", came);
        }

        let vector = random.u32(..VECTORS);
        mask(&mut driver.client, vector, true)?;
        driver.set_register(register::IRQ_TRIGGER, vector)?;
        driver.set_register(register::IRQ_TRIGGER, vector)?;
        let early = events[vector as usize].take()?;
        ensure!(early == 0, "a masked vector sent {early} messages");
        mask(&mut driver.client, vector, false)?;
        tally.sent("messages held by a mask", 1);
        tally.arrived("messages held by a mask", events[vector as usize].take()?);

        driver.enable_msix(false)?;
        driver.set_register(register::IRQ_TRIGGER, 0)?;
        tally.sent("INTx", 1);
        tally.arrived("INTx", signals(&intx[0])?);
        driver.set_register(register::IRQ_ACK, 0)?;
        unmask(&mut driver.client)?;
        let again = intx[0].take()?;
        ensure!(again == 0, "INTx came {again} times after it was released");
        driver.enable_msix(true)?;
    }
    let disable = SetIrqs {
        flags: DATA_NONE | ACTION_TRIGGER,
        index: irq::MSIX,
        ..SetIrqs::default()
    };
    driver.client.set_irqs(disable, &[])?.success().map(drop)
}

/// Writes Vector Control of a table entry.
fn mask(client: &mut RawClient, vector: u32, masked: bool) -> Result<()> {
    let control = u64::from(vector) * ENTRY + VECTOR_CONTROL;
    let masked = u32::from(masked).to_le_bytes();
    client.write(TABLE, control, &masked)
}

fn unmask(client: &mut RawClient) -> Result<()> {
    let request = SetIrqs {
        flags: DATA_NONE | ACTION_UNMASK,
        index: irq::INTX,
        count: 1,
        ..SetIrqs::default()
    };
    client.set_irqs(request, &[])?.success().map(drop)
}
