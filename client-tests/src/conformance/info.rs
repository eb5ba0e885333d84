//! DEVICE_GET_INFO and DEVICE_RESET.

use anyhow::{Context, ensure};

use super::Source::{CloudHypervisor, LibvfioUser, Qemu, Specification};
use super::subject::goes_on;
use super::{Check, check, holds, payload, skip};
use crate::raw::wire::{command, field_u32};

/// DEVICE_RESET works.
const RESET: u32 = 1 << 0;
/// A PCI device.
const PCI: u32 = 1 << 1;

pub(super) const CHECKS: &[Check] = &[
    check(
        "info.short",
        LibvfioUser,
        "A request of 8 bytes gives EINVAL",
        |s| s.refused(command::DEVICE_GET_INFO, &[0; 8]),
    ),
    check(
        "info.argsz",
        LibvfioUser,
        "argsz below 16 gives EINVAL",
        |s| s.refused(command::DEVICE_GET_INFO, &payload::info(8, 0)),
    ),
    check(
        "info.larger-argsz",
        CloudHypervisor,
        "argsz 32, with the header counted in, is answered like 16: 16 bytes, argsz 16",
        |s| {
            let reply = s
                .attach()?
                .request(command::DEVICE_GET_INFO, &payload::info(32, 0), &[]);
            let reply = reply?.success()?;
            ensure!(
                reply.len() == 16 && field_u32(&reply, 0) == 16,
                "the reply is {reply:x?}"
            );
            holds()
        },
    ),
    check(
        "info.pci",
        Qemu,
        "The device says that it is a PCI device",
        |s| {
            ensure!(s.found.flags & PCI != 0, "flags are {:#x}", s.found.flags);
            holds()
        },
    ),
    check(
        "info.regions",
        Qemu,
        "A PCI device has 9 regions or more, 100 at most: BARs, ROM, config space, VGA",
        |s| {
            let regions = s.found.num_regions;
            ensure!((9..=100).contains(&regions), "it has {regions}");
            holds()
        },
    ),
    check(
        "info.irqs",
        Qemu,
        "A PCI device has 5 irq indexes or more, 50 at most: INTx, MSI, MSI-X, ERR, REQ",
        |s| {
            let irqs = s.found.num_irqs;
            ensure!((5..=50).contains(&irqs), "it has {irqs}");
            holds()
        },
    ),
    check(
        "reset.as-advertised",
        Specification,
        "DEVICE_RESET succeeds, more than once, on a device that has the RESET flag",
        |s| {
            if s.found.flags & RESET == 0 {
                return skip("the device does not offer a reset");
            }
            let mut client = s.attach()?;
            for _ in 0..2 {
                let reply = client.reset()?.success()?;
                ensure!(reply.is_empty(), "the reply carries {} bytes", reply.len());
            }
            goes_on(&mut client)?;
            holds()
        },
    ),
    check(
        "reset.not-advertised",
        CloudHypervisor,
        "DEVICE_RESET is answered on a device without the RESET flag, too: there it is sent for certain",
        |s| {
            if s.found.flags & RESET != 0 {
                return skip("the device offers a reset");
            }
            let mut client = s.attach()?;
            client.reset().context("DEVICE_RESET")?;
            goes_on(&mut client)?;
            holds()
        },
    ),
];
