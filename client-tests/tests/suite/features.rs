//! Device features other than those of low power.

use client_tests::daemon::Daemon;
use client_tests::raw::RawClient;
use client_tests::raw::wire::device_feature::{GET, PROBE, SET};
use client_tests::raw::wire::{EINVAL, ENOTTY, region};

const BUS_MASTER: u32 = 10;

/// DMA_LOGGING_START, _STOP and _REPORT.
const DMA_LOGGING: [u32; 3] = [6, 7, 8];

/// The errno of a feature request, if it fails.
fn outcome(client: &mut RawClient, argsz: u32, flags: u32, data: &[u8]) -> Option<u32> {
    let reply = client.device_feature(argsz, flags, data, &[]);
    reply.unwrap().errno()
}

fn command(client: &mut RawClient) -> Vec<u8> {
    client.read(region::CONFIG, 4, 2).unwrap()
}

#[test]
fn bus_mastering_can_be_switched_by_feature() {
    for dialect in ["host.pm-dialect=mainline", "host.pm-dialect=v4"] {
        let (_daemon, mut client) = Daemon::testdev(&[dialect]).unwrap();
        client.write(region::CONFIG, 4, &[2, 4]).unwrap();
        for (operation, expected) in [(1_u32, 6), (1, 6), (0, 2), (0, 2)] {
            let data = operation.to_ne_bytes();
            let reply = client.device_feature(12, BUS_MASTER | SET, &data, &[]);
            let repeated = [12, BUS_MASTER | SET, operation].map(u32::to_ne_bytes);
            assert_eq!(reply.unwrap().success().unwrap(), repeated.concat());
            assert_eq!(command(&mut client), [expected, 4], "{dialect}");
        }
        for (what, argsz, flags, data, errno) in [
            ("a probe", 8, PROBE | SET, &[][..], None),
            ("a probe without operation", 8, PROBE, &[], None),
            ("a probe to read", 8, PROBE | GET, &[], Some(EINVAL)),
            ("reading", 12, GET, &[0; 4], Some(EINVAL)),
            ("no operation", 12, 0, &[0; 4], Some(EINVAL)),
            ("op 2", 12, SET, &[2, 0, 0, 0], Some(EINVAL)),
            ("no room for op", 11, SET, &[1, 0, 0, 0], Some(EINVAL)),
            ("no op", 12, SET, &[], Some(EINVAL)),
        ] {
            let outcome = outcome(&mut client, argsz, BUS_MASTER | flags, data);
            assert_eq!(outcome, errno, "{what}");
            assert_eq!(command(&mut client), [2, 4], "{what}");
        }
    }
}

#[test]
fn vfio_pci_has_no_such_feature() {
    let (_daemon, mut client) = Daemon::testdev(&["host.view=vfio-pci"]).unwrap();
    for feature in DMA_LOGGING.into_iter().chain([BUS_MASTER]) {
        for flags in [SET, GET, PROBE | SET, PROBE] {
            let outcome = outcome(&mut client, 12, feature | flags, &[1, 0, 0, 0]);
            assert_eq!(outcome, Some(ENOTTY), "feature {feature}, flags {flags:#x}");
        }
    }
}
