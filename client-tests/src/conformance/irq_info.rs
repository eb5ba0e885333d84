//! DEVICE_GET_IRQ_INFO.

use anyhow::ensure;

use super::Source::{CloudHypervisor, LibvfioUser, Linux, Specification};
use super::{Check, check, config, holds, payload, skip};
use crate::raw::wire::{command, field_u16, field_u32, irq};

const EVENTFD: u32 = 1 << 0;
const MASKABLE: u32 = 1 << 1;
const AUTOMASKED: u32 = 1 << 2;

pub(super) const CHECKS: &[Check] = &[
    check(
        "irq-info.short",
        LibvfioUser,
        "A request of 8 bytes gives EINVAL",
        |s| s.refused(command::DEVICE_GET_IRQ_INFO, &[0; 8]),
    ),
    check(
        "irq-info.argsz",
        LibvfioUser,
        "argsz below 16 gives EINVAL",
        |s| s.refused(command::DEVICE_GET_IRQ_INFO, &payload::info(8, 0)),
    ),
    check(
        "irq-info.index",
        LibvfioUser,
        "An index that the device does not have gives EINVAL",
        |s| {
            s.refused(
                command::DEVICE_GET_IRQ_INFO,
                &payload::info(16, s.found.num_irqs),
            )?;
            s.refused(command::DEVICE_GET_IRQ_INFO, &payload::info(16, u32::MAX))
        },
    ),
    check(
        "irq-info.larger-argsz",
        CloudHypervisor,
        "argsz 32 is answered like 16: 16 bytes, argsz 16",
        |s| {
            let request = payload::info(32, irq::INTX);
            let reply = s
                .attach()?
                .request(command::DEVICE_GET_IRQ_INFO, &request, &[]);
            let reply = reply?.success()?;
            ensure!(
                reply.len() == 16 && field_u32(&reply, 0) == 16,
                "the reply is {reply:x?}"
            );
            holds()
        },
    ),
    check(
        "irq-info.every-index",
        LibvfioUser,
        "Every index below the number of irq indexes is answered with that index; one without vectors has count 0",
        |s| {
            let mut client = s.attach()?;
            for index in 0..s.found.num_irqs.min(50) {
                let info = client.irq_info(index)?;
                ensure!((info.argsz, info.index) == (16, index), "{info:?}");
            }
            holds()
        },
    ),
    check(
        "irq-info.eventfd",
        Specification,
        "An index with vectors can signal eventfds",
        |s| {
            for info in s.found.irqs.iter().filter(|info| info.count > 0) {
                ensure!(info.flags & EVENTFD != 0, "{info:?}");
            }
            holds()
        },
    ),
    check(
        "irq-info.automasked",
        Linux,
        "An index that is masked automatically can be unmasked: AUTOMASKED implies MASKABLE",
        |s| {
            for info in &s.found.irqs {
                let flags = info.flags & (MASKABLE | AUTOMASKED);
                ensure!(flags != AUTOMASKED, "{info:?}");
            }
            holds()
        },
    ),
    check(
        "irq-info.err-and-req",
        Linux,
        "ERR and REQ have one vector at most",
        |s| {
            for index in [irq::ERR, irq::REQ] {
                let info = s.irq(index);
                ensure!(info.is_none_or(|info| info.count <= 1), "{info:?}");
            }
            holds()
        },
    ),
    check(
        "irq-info.intx",
        Linux,
        "A device has INTx exactly when config space names an interrupt pin",
        |s| {
            let pin = s.config_space(&mut s.attach()?)?[0x3d];
            let count = s.irq(irq::INTX).map_or(0, |intx| intx.count);
            ensure!(count == u32::from(pin != 0), "pin {pin}, {count} vectors");
            holds()
        },
    ),
    check(
        "irq-info.msix",
        Linux,
        "MSI-X has as many vectors as its capability's table",
        |s| {
            let space = s.config_space(&mut s.attach()?)?;
            let Some(at) = config::find(&space, config::MSIX)? else {
                return skip("config space has no MSI-X capability");
            };
            let table = u32::from(field_u16(&space, at + 2) & 0x7ff) + 1;
            let count = s.irq(irq::MSIX).map_or(0, |msix| msix.count);
            ensure!(count == table, "{count} vectors, {table} entries");
            holds()
        },
    ),
];
