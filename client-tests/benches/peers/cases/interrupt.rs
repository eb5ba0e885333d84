//! The function's first MSI-X message, as an eventfd.

use std::os::fd::AsFd;

use anyhow::{Result, ensure};
use client_tests::os::Event;
use client_tests::raw::wire::{irq, region, set_irqs};
use client_tests::raw::{RawClient, SetIrqs};

const MSIX: u8 = 0x11;
/// High byte of Message Control.
const ENABLE: u8 = 0x80;

/// Enables MSI-X and has the first message signal an eventfd.
pub fn first_message(client: &mut RawClient) -> Result<Event> {
    let config = client.read(region::CONFIG, 0, 0x100)?;
    let mut at = config[0x34];
    while config[usize::from(at)] != MSIX {
        at = config[usize::from(at) + 1];
        ensure!(at != 0, "there is no MSI-X capability");
    }
    client.write(region::CONFIG, u64::from(at) + 3, &[ENABLE])?;
    let event = Event::new()?;
    let bind = SetIrqs {
        flags: set_irqs::DATA_EVENTFD | set_irqs::ACTION_TRIGGER,
        index: irq::MSIX,
        start: 0,
        count: 1,
        bools: &[],
    };
    client.set_irqs(bind, &[event.as_fd()])?.success()?;
    Ok(event)
}
