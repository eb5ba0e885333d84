//! Properties of every message: encoding and parsing undo each other, a payload cut inside its
//! structure is refused, and no bytes whatsoever are too much for a parser.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::device_feature::bus_master::{BusMaster, BusMasterOperation};
use super::device_feature::dma_logging::{Range, Report, ReportReply, Start};
use super::device_feature::low_power_entry_with_wakeup::LowPowerEntryWithWakeup;
use super::device_feature::mig_data_size::MigDataSize;
use super::device_feature::mig_device_state::{DeviceState, MigDeviceState};
use super::device_feature::migration::MigrationFlags;
use super::device_feature::power_management::{PowerManagement, PowerManagementFlags};
use super::device_feature::{self, Operation};
use super::device_info::DeviceFlags;
use super::dma_map::DmaMapFlags;
use super::irq_info::IrqInfoFlags;
use super::region_access::{self, Access};
use super::region_info::{Capability, FdArea, RegionFlags, RegionInfo, SparseArea};
use super::region_io_fds::{Entry, Kind, Layout, RegionIoFds};
use super::set_irqs::{Action, Data};
use super::{
    device_info, dma_access, dma_map, dma_unmap, irq_info, mig_data, precopy_info, region_info,
    region_io_fds, set_irqs, write_multi,
};

/// For each message: its type, the length below which its payload is too short, and how to make any
/// valid one.
macro_rules! round_trips {
    ($($name:ident: $type:ty, $fixed:literal, $made_of:pat in $strategy:expr => $value:expr;)*) => {$(
        mod $name {
            use super::*;

            proptest! {
                #[test]
                fn survives_the_wire($made_of in $strategy) {
                    let value: $type = $value;
                    let mut payload = Vec::new();
                    value.encode(&mut payload);
                    prop_assert_eq!(<$type>::parse(&payload), Ok(value));
                    for end in 0..$fixed {
                        prop_assert!(<$type>::parse(&payload[..end]).is_err(), "{} bytes are enough", end);
                    }
                }

                #[test]
                fn any_bytes_are_refused_or_understood(
                    $made_of in $strategy,
                    damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
                    noise in vec(any::<u8>(), 0..80),
                ) {
                    let value: $type = $value;
                    let mut damaged = Vec::new();
                    value.encode(&mut damaged);
                    for (place, byte) in damage {
                        let place = place.index(damaged.len());
                        damaged[place] = byte;
                    }
                    for bytes in [&damaged, &noise] {
                        if let Ok(understood) = <$type>::parse(bytes) {
                            let mut payload = Vec::new();
                            understood.encode(&mut payload);
                            prop_assert_eq!(<$type>::parse(&payload), Ok(understood));
                        }
                    }
                }
            }
        }
    )*};
}

/// A range of 64-bit numbers that is neither empty nor wraps around.
fn range() -> impl Strategy<Value = (u64, u64)> {
    prop_oneof![
        (any::<u64>(), 1..=u64::MAX)
            .prop_map(|(start, length)| (start, length.min((u64::MAX - start).saturating_add(1)))),
        (0..1_u64 << 48, 1..1_u64 << 48),
    ]
}

fn dma_range() -> impl Strategy<Value = Range> {
    range().prop_map(|(iova, length)| Range { iova, length })
}

fn map_flags() -> impl Strategy<Value = DmaMapFlags> {
    (0..12_u32).prop_map(DmaMapFlags::from_bits_retain)
}

fn unmap_range() -> impl Strategy<Value = dma_unmap::Target> {
    range().prop_map(|(address, size)| dma_unmap::Target::Range { address, size })
}

fn unmap_target() -> impl Strategy<Value = dma_unmap::Target> {
    prop_oneof![
        1 => Just(dma_unmap::Target::All),
        4 => unmap_range(),
    ]
}

fn access() -> impl Strategy<Value = Access> {
    any::<(u64, u32, u32)>().prop_map(|(offset, region, count)| Access {
        offset,
        region,
        count,
    })
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..64)
}

fn page_size() -> impl Strategy<Value = u64> {
    (0..64_u32).prop_map(|bit| 1 << bit)
}

fn small_report() -> impl Strategy<Value = Report> {
    (1..600_u64, 0..1_u64 << 40).prop_map(|(pages, iova)| Report {
        range: Range {
            iova,
            length: pages * 4096,
        },
        page_size: 4096,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    select(vec![
        Operation::empty(),
        Operation::GET,
        Operation::SET,
        Operation::PROBE,
        Operation::PROBE | Operation::GET,
        Operation::PROBE | Operation::SET,
        Operation::all(),
    ])
}

fn action() -> impl Strategy<Value = Action> {
    select(vec![Action::Mask, Action::Unmask, Action::Trigger])
}

/// A range of vectors whose bytes, if there are any, are those of `bools`.
fn irq_data(kind: u8, bools: &[u8]) -> Data<'_> {
    match kind {
        0 => Data::None,
        1 => Data::Bool(bools),
        _ => Data::Eventfd,
    }
}

round_trips! {
    dma_map_request: dma_map::Request, 32,
        (flags, (address, size), offset) in (map_flags(), range(), any::<u64>()) =>
        dma_map::Request { flags, address, size, offset: offset.min(u64::MAX - (size - 1)) };
    dma_unmap_request: dma_unmap::Request, 24, target in unmap_target() =>
        dma_unmap::Request { target, bitmap: None };
    dma_unmap_dirty_request: dma_unmap::Request, 40,
        (target, page_size, size) in (unmap_range(), any::<u64>(), 0..1_u64 << 31) =>
        dma_unmap::Request { target, bitmap: Some(dma_unmap::BitmapRequest { page_size, size }) };
    dma_unmap_reply: dma_unmap::Reply<'_>, 24, target in unmap_target() =>
        dma_unmap::Reply { target, bitmap: None };
    dma_unmap_dirty_reply: dma_unmap::Reply<'_>, 40,
        (target, page_size, ref data) in (unmap_range(), any::<u64>(), data()) =>
        dma_unmap::Reply { target, bitmap: Some(dma_unmap::Bitmap { page_size, data }) };
    device_info_request: device_info::Request, 16, argsz in 16_u32.. =>
        device_info::Request { argsz };
    device_info_reply: device_info::Reply, 16, (flags, num_regions, num_irqs) in any::<(u32, u32, u32)>() =>
        device_info::Reply { flags: DeviceFlags::from_bits_retain(flags), num_regions, num_irqs };
    region_info_request: region_info::Request, 32, (argsz, index) in (32_u32.., any::<u32>()) =>
        region_info::Request { argsz, index };
    region_io_fds_request: region_io_fds::Request, 16, (argsz, index) in (16_u32.., any::<u32>()) =>
        region_io_fds::Request { argsz, index };
    irq_info_request: irq_info::Request, 16, (argsz, index) in (16_u32.., any::<u32>()) =>
        irq_info::Request { argsz, index };
    irq_info_reply: irq_info::Reply, 16, (flags, index, count) in any::<(u32, u32, u32)>() =>
        irq_info::Reply { flags: IrqInfoFlags::from_bits_retain(flags), index, count };
    set_irqs_request: set_irqs::Request<'_>, 20,
        (action, kind, index, start, ref bools) in
            (action(), 0..3_u8, any::<u32>(), 0..u32::MAX - 64, vec(any::<u8>(), 1..64)) =>
        set_irqs::Request { action, data: irq_data(kind, bools), index, start, count: bools.len() as u32 };
    set_irqs_disable: set_irqs::Request<'_>, 20, index in any::<u32>() =>
        set_irqs::Request { action: Action::Trigger, data: Data::None, index, start: 0, count: 0 };
    region_read_request: region_access::ReadRequest, 16, access in access() =>
        region_access::ReadRequest { access };
    region_read_reply: region_access::ReadReply<'_>, 16, (offset, region, ref data) in (any::<u64>(), any::<u32>(), data()) =>
        region_access::ReadReply { offset, region, data };
    region_write_request: region_access::WriteRequest<'_>, 16, (offset, region, ref data) in (any::<u64>(), any::<u32>(), data()) =>
        region_access::WriteRequest::new(region, offset, data);
    region_write_reply: region_access::WriteReply, 16, access in access() =>
        region_access::WriteReply { access };
    dma_read_request: dma_access::ReadRequest, 16, (address, count) in any::<(u64, u64)>() =>
        dma_access::ReadRequest { address, count };
    dma_read_reply: dma_access::ReadReply<'_>, 16, (address, ref data) in (any::<u64>(), data()) =>
        dma_access::ReadReply { address, data };
    dma_write_request: dma_access::WriteRequest<'_>, 16, (address, ref data) in (any::<u64>(), data()) =>
        dma_access::WriteRequest { address, data };
    dma_write_reply: dma_access::WriteReply, 16, (address, count) in any::<(u64, u64)>() =>
        dma_access::WriteReply { address, count };
    write_multi_reply: write_multi::Reply, 8, completed in any::<u64>() =>
        write_multi::Reply { completed };
    feature_request: device_feature::Request<'_>, 8,
        (feature, operation, ref data, more) in (any::<u16>(), operation(), data(), 0..64_u32) =>
        device_feature::Request { argsz: 8 + data.len() as u32 + more, feature, operation, data };
    feature_reply: device_feature::Reply<'_>, 8, (feature, operation, ref data) in (any::<u16>(), operation(), data()) =>
        device_feature::Reply { feature, operation, data };
    migration_flags: MigrationFlags, 8, bits in any::<u64>() =>
        MigrationFlags::from_bits_retain(bits);
    mig_device_state: MigDeviceState, 8, (state, data_fd) in (select(DeviceState::ALL.to_vec()), any::<u32>()) =>
        MigDeviceState { state, data_fd };
    low_power_entry_with_wakeup: LowPowerEntryWithWakeup, 8, (wakeup_eventfd, reserved) in any::<(i32, u32)>() =>
        LowPowerEntryWithWakeup { wakeup_eventfd, reserved };
    bus_master: BusMaster, 4, operation in select(BusMasterOperation::ALL.to_vec()) => BusMaster { operation };
    mig_data_size: MigDataSize, 8, stop_copy_length in any::<u64>() => MigDataSize { stop_copy_length };
    power_management: PowerManagement, 8, (flags, reserved) in any::<(u32, u32)>() =>
        PowerManagement { flags: PowerManagementFlags::from_bits_retain(flags), reserved };
    dma_logging_report: Report, 24, (range, page_size) in (dma_range(), page_size()) =>
        Report { range, page_size };
    dma_logging_report_reply: ReportReply<'_>, 24, (report, ref bits) in (small_report(), vec(any::<u8>(), 80)) =>
        ReportReply { report, bitmap: &bits[..report.bitmap_size() as usize] };
    mig_data_read_request: mig_data::ReadRequest, 8, size in 0..=u32::MAX - 8 =>
        mig_data::ReadRequest { size };
    mig_data_read_reply: mig_data::ReadReply<'_>, 8, ref data in data() =>
        mig_data::ReadReply { data };
    mig_data_write_request: mig_data::WriteRequest<'_>, 8, ref data in data() =>
        mig_data::WriteRequest { data };
    precopy_info_request: precopy_info::Request, 24, argsz in 24_u32.. =>
        precopy_info::Request { argsz };
    precopy_info_reply: precopy_info::Reply, 24, (initial_bytes, dirty_bytes) in any::<(u64, u64)>() =>
        precopy_info::Reply { initial_bytes, dirty_bytes };
}

fn write() -> impl Strategy<Value = write_multi::Write> {
    (
        any::<u64>(),
        any::<u32>(),
        0..=write_multi::MAX_COUNT,
        any::<[u8; 8]>(),
    )
        .prop_map(|(offset, region, count, data)| write_multi::Write {
            offset,
            region,
            count,
            data,
        })
}

fn region_info() -> impl Strategy<Value = RegionInfo> {
    let sparse = any::<(u64, u64)>().prop_map(|(offset, size)| SparseArea { offset, size });
    let with_fd =
        any::<(u64, u64, u64, u32)>().prop_map(|(offset, fd_offset, size, fd_index)| FdArea {
            offset,
            fd_offset,
            size,
            fd_index,
        });
    let capability = prop_oneof![
        vec(sparse, 0..10).prop_map(Capability::SparseMmap),
        any::<(u32, u32)>().prop_map(|(kind, subtype)| Capability::Type { kind, subtype }),
        Just(Capability::MsixMappable),
        vec(with_fd, 0..10).prop_map(Capability::SparseMmapFds),
        (4..0x8000_u16, any::<u16>()).prop_map(|(id, version)| Capability::Unknown { id, version }),
    ];
    (any::<(u32, u32, u64, u64)>(), vec(capability, 0..5)).prop_map(
        |((flags, index, size, offset), capabilities)| {
            let flags = RegionFlags::from_bits_retain(flags) - RegionFlags::CAPS;
            RegionInfo {
                flags,
                index,
                size,
                offset,
                capabilities,
            }
        },
    )
}

fn io_fds(layout: Layout) -> impl Strategy<Value = RegionIoFds> {
    let kind = any::<(u32, u64, u64)>().prop_flat_map(
        move |(shadow_mem_fd_index, shadow_offset, datamatch)| {
            let mut kinds = vec![
                Kind::Ioeventfd { datamatch },
                Kind::Ioregionfd {
                    user_data: datamatch,
                },
            ];
            if layout == Layout::Extended {
                kinds.push(Kind::ShadowIoeventfd {
                    shadow_mem_fd_index,
                    shadow_offset,
                    datamatch,
                });
            }
            select(kinds)
        },
    );
    let entry = (any::<(u64, u64, u32, u32)>(), kind).prop_map(
        |((offset, size, fd_index, flags), kind)| Entry {
            offset,
            size,
            fd_index,
            flags,
            kind,
        },
    );
    (any::<u32>(), vec(entry, 0..8)).prop_map(|(index, entries)| RegionIoFds { index, entries })
}

proptest! {
    #[test]
    fn write_multi_survives_the_wire(writes in vec(write(), 0..20), noise in vec(any::<u8>(), 0..80)) {
        let mut payload = Vec::new();
        write_multi::Request::encode(&writes, &mut payload);
        let request = write_multi::Request::parse(&payload);
        prop_assert_eq!(request.map(|request| request.writes().collect()), Ok(writes));
        for end in 0..payload.len() {
            prop_assert!(write_multi::Request::parse(&payload[..end]).is_err());
        }
        if let Ok(request) = write_multi::Request::parse(&noise) {
            prop_assert!(request.writes().all(|write| write.bytes().len() == write.count as usize));
        }
    }

    #[test]
    fn dma_logging_start_survives_the_wire(
        page_size in page_size(),
        ranges in vec(dma_range(), 0..10),
        noise in vec(any::<u8>(), 0..80),
    ) {
        let mut data = Vec::new();
        Start::encode(page_size, ranges.iter().copied(), &mut data);
        let start = Start::parse(&data);
        prop_assert_eq!(start.clone().map(|start| start.page_size), Ok(page_size));
        prop_assert_eq!(start.map(|start| start.ranges().collect()), Ok(ranges));
        for end in 0..data.len() {
            prop_assert!(Start::parse(&data[..end]).is_err());
        }
        let _ = Start::parse(&noise);
    }

    #[test]
    fn region_info_survives_the_wire_or_asks_for_room(info in region_info(), argsz in 32..512_u32) {
        let mut payload = Vec::new();
        info.encode(argsz, &mut payload);
        prop_assert!(payload.len() <= argsz as usize);
        prop_assert!((0..32).all(|end| region_info::Reply::parse(&payload[..end]).is_err()));
        let complete = info.fits(argsz);
        prop_assert_eq!(complete, payload.len() == info.full_size() as usize);
        let capabilities = if complete { info.capabilities.clone() } else { Vec::new() };
        let argsz = info.full_size();
        let came = RegionInfo { capabilities, ..info };
        prop_assert_eq!(region_info::Reply::parse(&payload), Ok(region_info::Reply { argsz, info: came }));
    }

    #[test]
    fn region_io_fds_survive_the_wire_or_ask_for_room(
        (layout, fds) in select(vec![Layout::Specified, Layout::Extended]).prop_flat_map(|layout| (Just(layout), io_fds(layout))),
        argsz in 16..512_u32,
    ) {
        let mut payload = Vec::new();
        fds.encode(layout, argsz, &mut payload);
        prop_assert!(payload.len() <= argsz as usize);
        prop_assert!((0..16).all(|end| region_io_fds::Reply::parse(&payload[..end]).is_err()));
        let argsz_needed = fds.full_size(layout);
        let entries = if fds.fits(layout, argsz) { fds.entries.clone() } else { Vec::new() };
        let came = RegionIoFds { entries, ..fds };
        prop_assert_eq!(region_io_fds::Reply::parse(&payload), Ok(region_io_fds::Reply { argsz: argsz_needed, fds: came }));
    }

    /// A client terminates on any capabilities or entries of a server.
    #[test]
    fn damaged_lists_are_refused_or_understood(
        info in region_info(),
        fds in io_fds(Layout::Extended),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (mut region, mut list) = (Vec::new(), Vec::new());
        info.encode(u32::MAX, &mut region);
        fds.encode(Layout::Extended, u32::MAX, &mut list);
        for (place, byte) in damage {
            for payload in [&mut region, &mut list] {
                let place = place.index(payload.len());
                payload[place] = byte;
            }
        }
        if let Ok(reply) = region_info::Reply::parse(&region) {
            prop_assert!(32 + reply.info.capabilities.len() * 8 <= region.len());
        }
        if let Ok(reply) = region_io_fds::Reply::parse(&list) {
            prop_assert!(reply.fds.entries.len() * 40 <= list.len());
        }
    }
}
