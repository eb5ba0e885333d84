//! Requests that are refused by their form alone, and their neighbours that are not.

use super::device_feature::power_management::{PowerManagement, PowerManagementFlags};
use super::device_feature::{Feature, Operation};
use super::set_irqs::{Action, Data};
use super::{
    device_feature, dma_access, dma_map, dma_unmap, mig_data, region_access, region_io_fds,
    set_irqs, write_multi,
};
use crate::errno::Errno;
use crate::error::MessageError;

/// A payload of 32-bit fields and what follows them.
fn words(fields: &[u32], tail: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = fields
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect();
    bytes.extend_from_slice(tail);
    bytes
}

/// A payload of two 32-bit fields and 64-bit fields.
fn longs(head: [u32; 2], fields: &[u64]) -> Vec<u8> {
    let tail: Vec<u8> = fields
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect();
    words(&head, &tail)
}

/// Refused as EINVAL for a reason that mentions `reason`; accepted if there is no reason.
fn judge<T: std::fmt::Debug>(result: Result<T, MessageError>, reason: &str) {
    match result {
        Ok(value) => assert!(reason.is_empty(), "{value:?} has to be refused: {reason}"),
        Err(error) => {
            assert_eq!(error.errno(), Errno::EINVAL);
            assert!(
                !reason.is_empty() && error.to_string().contains(reason),
                "{error}, not {reason:?}"
            );
        }
    }
}

#[test]
fn set_irqs() {
    for (fields, bools, reason) in [
        ([20, 0x21, 4, 0, 0], &b""[..], ""),       // disable
        ([20, 0x24, 2, 0, 8], b"", ""),            // bind or unbind
        ([20, 0x21, 2, 1, 1], b"", ""),            // fire one
        ([20, 0x22, 2, 0, 2], b"\0\x01", ""),      // fire some
        ([20, 0x11, 0, 0, 1], b"", ""),            // unmask
        ([20, 0x21, 99, 0, 1], b"", ""),           // the index is the server's to judge
        ([20, 0x21, 2, u32::MAX - 1, 1], b"", ""), // so is the end of the range
        ([3, 0x21, 0, 0, 0], b"", "argsz is 3"),
        ([20, 0x19, 0, 0, 1], b"", "exactly one of MASK"), // MASK and UNMASK
        ([20, 0x01, 0, 0, 1], b"", "exactly one of MASK"), // none
        ([20, 0x23, 0, 0, 1], b"\x01", "exactly one of NONE"), // NONE and BOOL
        ([20, 0x20, 0, 0, 1], b"", "exactly one of NONE"), // none
        ([20, 0x61, 0, 0, 1], b"", "bits 0 to 5"),
        (
            [20, 0x22, 2, 0, 2],
            b"\x01",
            "data is 1 bytes long, it has to be 2",
        ),
        (
            [20, 0x22, 2, 0, 2],
            b"\x01\0\0",
            "data is 3 bytes long, it has to be 2",
        ),
        ([20, 0x21, 2, 284, u32::MAX], b"", "wraps around"),
        ([20, 0x21, 2, 1, 0], b"", "start is 0x1, it has to be 0"),
        ([20, 0x09, 0, 0, 0], b"", "TRIGGER with NONE"),
        ([20, 0x22, 0, 0, 0], b"", "TRIGGER with NONE"),
        ([20, 0x24, 0, 0, 0], b"", "TRIGGER with NONE"),
    ] {
        judge(set_irqs::Request::parse(&words(&fields, bools)), reason);
    }
}

#[test]
fn set_irqs_ranges_and_descriptors() {
    let request = |data, start, count| set_irqs::Request {
        action: Action::Trigger,
        data,
        index: 2,
        start,
        count,
    };
    for (start, count, available, within) in [
        (0, 1, 1, true),
        (2047, 1, 2048, true),
        (2047, 2, 2048, false),
        (2049, 1, 2048, false),
        (0, 0, 1, true),
        (0, 0, 0, false),
    ] {
        assert_eq!(
            request(Data::None, start, count).is_within(available),
            within,
            "{start}+{count} of {available}"
        );
    }
    for (data, count, descriptors, right) in [
        (Data::Eventfd, 2, 0, true),
        (Data::Eventfd, 2, 2, true),
        (Data::Eventfd, 2, 1, false),
        (Data::Eventfd, 2, 3, false),
        (Data::None, 1, 0, true),
        (Data::None, 1, 1, false),
        (Data::Bool(b"\x01"), 1, 1, false),
    ] {
        assert_eq!(
            request(data, 0, count)
                .check_descriptors(descriptors)
                .is_ok(),
            right,
            "{data:?} {descriptors}"
        );
    }
    let selected = |data, start, count| request(data, start, count).selected().collect::<Vec<_>>();
    assert_eq!(selected(Data::None, 3, 2), [3, 4]);
    assert_eq!(selected(Data::Bool(b"\0\x01\xff"), 7, 3), [8, 9]);
    assert!(selected(Data::Eventfd, 0, 2).is_empty());
}

#[test]
fn dma_map() {
    for (head, fields, reason) in [
        ([32, 3], [0, 0, 0x1000], ""),
        ([32, 0], [0, 0, 1], ""),
        ([99, 1], [0, u64::MAX, 1], ""), // ends with the address space
        ([31, 3], [0, 0, 0x1000], "argsz is 31"),
        ([32, 0x10], [0, 0, 0x1000], "flags is 0x10"),
        ([32, 0xc], [0, 0, 0x1000], "without 2 and 3 together"),
        ([32, 3], [0, 0x1000, 0], "size is 0x0"),
        (
            [32, 3],
            [0, u64::MAX, 2],
            "address 0xffffffffffffffff + 0x2 wraps around",
        ),
        (
            [32, 3],
            [u64::MAX, 0, 2],
            "offset 0xffffffffffffffff + 0x2 wraps around",
        ),
    ] {
        judge(dma_map::Request::parse(&longs(head, &fields)), reason);
    }
}

#[test]
fn dma_map_descriptors() {
    for (flags, descriptors, right) in [
        (3, 0, true),
        (3, 1, true),
        (3, 2, false),
        (4, 0, false),
        (4, 1, true),
        (8, 0, false),
        (8, 2, false),
    ] {
        let request = dma_map::Request::parse(&longs([32, flags], &[0, 0, 1])).unwrap();
        assert_eq!(
            request.check_descriptors(descriptors).is_ok(),
            right,
            "flags {flags}, {descriptors} descriptors"
        );
    }
}

#[test]
fn dma_unmap() {
    for (head, fields, reason) in [
        ([24, 0], &[0x1000, 0x1000][..], ""),
        ([24, 0], &[0, 1 << 47], ""),
        ([24, 2], &[0, 0], ""),
        ([48, 1], &[0x1000, 0x1000, 0x1000, 8], ""),
        ([8, 0], &[0x1000, 0x1000], "argsz is 8"),
        ([24, 4], &[0x1000, 0x1000], "flags is 0x4"),
        ([24, 3], &[0, 0], "flags is 0x3"),
        (
            [24, 2],
            &[0x1000, 0],
            "address is 0x1000, it has to be 0 with ALL",
        ),
        (
            [24, 2],
            &[0, 0x1000],
            "size is 0x1000, it has to be 0 with ALL",
        ),
        ([24, 0], &[0x1000, 0], "size is 0x0"),
        ([24, 0], &[2, u64::MAX], "wraps around"),
        ([24, 1], &[0x1000, 0x1000], "dirty bitmap: 0 bytes came"),
        (
            [47, 1],
            &[0x1000, 0x1000, 0x1000, 8],
            "argsz is 47, it has to be at least 48",
        ),
        ([48, 1], &[0x1000, 0x1000, 0x1000, u64::MAX], "argsz is 48"),
    ] {
        judge(dma_unmap::Request::parse(&longs(head, fields)), reason);
    }
}

#[test]
fn region_access_counts_its_data() {
    let payload = |count: u32, data: &[u8]| words(&[0, 0, 1, count], data);
    judge(region_access::WriteRequest::parse(&payload(2, b"ab")), "");
    judge(region_access::WriteRequest::parse(&payload(0, b"")), "");
    judge(
        region_access::WriteRequest::parse(&payload(2, b"a")),
        "data is 1 bytes long, it has to be 2",
    );
    judge(
        region_access::WriteRequest::parse(&payload(2, b"abc")),
        "data is 3 bytes long, it has to be 2",
    );
    judge(
        region_access::ReadRequest::parse(&payload(u32::MAX, b"ignored")),
        "",
    );
    judge(
        region_access::ReadReply::parse(&payload(2, b"abc")),
        "data is 3 bytes long, it has to be 2",
    );
}

#[test]
fn region_access_bounds_do_not_wrap() {
    for (offset, count, within) in [
        (0, 16, true),
        (16, 0, true),
        (15, 2, false),
        (17, 0, false),
        (u64::MAX, 1, false),
        (u64::MAX, u32::MAX, false),
    ] {
        let access = region_access::Access {
            offset,
            region: 0,
            count,
        };
        assert_eq!(access.is_within(16), within, "{access:?}");
    }
}

#[test]
fn a_read_is_answered_in_place() {
    let access = region_access::Access {
        offset: 4,
        region: 7,
        count: 3,
    };
    let mut out = vec![0xee];
    region_access::ReadReply::reserve(&access, &mut out).copy_from_slice(b"abc");
    assert_eq!(
        region_access::ReadReply::parse(&out[1..]),
        Ok(region_access::ReadReply {
            offset: 4,
            region: 7,
            data: b"abc"
        })
    );
}

#[test]
fn dma_write_replies_of_all_wordings() {
    let request = dma_access::WriteRequest {
        address: 0x1000,
        data: b"abcd",
    };
    for (payload, count) in [
        (longs([0x1000, 0], &[3]), 3),
        (words(&[0x1000, 0, 2], b""), 2),
        (Vec::new(), 4),
    ] {
        let reply = dma_access::WriteReply {
            address: 0x1000,
            count,
        };
        assert_eq!(
            dma_access::WriteReply::parse_for(&request, &payload),
            Ok(reply)
        );
    }
    judge(
        dma_access::WriteReply::parse_for(&request, &[0; 15]),
        "15 bytes came, the structure has 16",
    );
}

#[test]
fn write_multi_counts_its_writes() {
    let one = |count: u32| {
        let mut bytes = longs([1, 0], &[0x10]);
        bytes.extend_from_slice(&words(&[0, count], b"abcdefgh"));
        bytes
    };
    judge(write_multi::Request::parse(&one(8)), "");
    judge(
        write_multi::Request::parse(&one(9)),
        "count is 0x9, it has to be at most 8",
    );
    judge(write_multi::Request::parse(&longs([0, 0], &[])), "");
    judge(
        write_multi::Request::parse(&longs([2, 0], &[0, 0, 0])),
        "writes is 24 bytes long, it has to be 48",
    );
    judge(
        write_multi::Request::parse(&longs([u32::MAX, u32::MAX], &[])),
        "writes is 0 bytes long",
    );
}

#[test]
fn region_io_fds() {
    for (fields, reason) in [
        ([16, 0, 1, 0], ""),
        ([16, 0, 512, 0], ""),
        ([15, 0, 1, 0], "argsz is 15"),
        ([16, 1, 1, 0], "flags is 0x1"),
        ([16, 0, 1, 1], "count is 0x1"),
    ] {
        judge(region_io_fds::Request::parse(&words(&fields, b"")), reason);
    }
}

#[test]
fn device_feature() {
    for (argsz, flags, data, reason) in [
        (8, 0x0002_0003, &b""[..], ""),
        (8, 0x0004_0003, b"", ""),
        (8, 0x0006_0003, b"", ""),
        (8, 0x0007_0003, b"", ""),    // GET and SET may be probed together
        (8, 0x0000_0003, b"", ""), // what to do with nothing depends on whether the feature exists
        (8, 0x0001_ffff, b"abc", ""), // a GET's data may be larger than its reply's fixed part
        (16, 0x0002_0004, b"abcdefgh", ""),
        (7, 0x0002_0003, b"", "argsz is 7"),
        (8, 0x0003_0003, b"", "both only together with PROBE"),
        (8, 0x0008_0003, b"", "bits 16 to 18 only"),
        (8, 0x8001_0003, b"", "bits 16 to 18 only"),
        (
            15,
            0x0002_0004,
            b"abcdefgh",
            "argsz is 15, it has to be at least 16",
        ),
        (
            8,
            0x0004_0004,
            b"abcdefgh",
            "argsz is 8, it has to be at least 16",
        ),
    ] {
        judge(
            device_feature::Request::parse(&words(&[argsz, flags], data)),
            reason,
        );
    }
}

#[test]
fn a_feature_has_some_operations_and_data_of_one_size() {
    let (get, set) = (Operation::GET, Operation::SET);
    for (argsz, flags, supported, outcome) in [
        (8, 0x0002_0003, set, Ok(true)),
        (8, 0x0006_0003, set, Ok(false)),
        (8, 0x0004_0003, set, Ok(false)),
        (8, 0x0007_0003, get | set, Ok(false)),
        (12, 0x0001_0003, get, Ok(true)),
        (8, 0x0001_0003, set, Err("an operation of this feature")),
        (8, 0x0007_0003, set, Err("an operation of this feature")),
        (8, 0x0000_0003, set, Err("GET, SET or PROBE")),
        (8, 0x0001_0003, get, Err("argsz is 8")),
        (11, 0x0001_0003, get, Err("argsz is 11")),
    ] {
        let payload = words(&[argsz, flags], b"");
        let request = device_feature::Request::read(&payload).unwrap();
        assert_eq!(request.flags(), flags);
        let size = if supported.contains(get) { 4 } else { 0 };
        match (request.wants(supported, size), outcome) {
            (Ok(wanted), Ok(expected)) => assert_eq!(wanted, expected, "{flags:#x}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (actual, expected) => panic!("{flags:#x}: {actual:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn what_is_only_read_is_not_judged() {
    let payload = words(&[3, 0x800b_0003], b"abc");
    let request = device_feature::Request::read(&payload).unwrap();
    assert_eq!((request.argsz, request.feature), (3, 3));
    assert_eq!((request.flags(), request.data), (0x800b_0003, &b"abc"[..]));
    judge(request.check(), "argsz is 3");
    judge(device_feature::Request::read(&[0; 7]), "7 bytes came");
}

#[test]
fn device_feature_requests_make_room_for_their_replies() {
    let get = device_feature::Request::get(Feature::MigDeviceState.number(), &[], 8);
    assert_eq!((get.argsz, get.operation), (16, Operation::GET));
    judge(get.check_room(8), "");
    judge(get.check_room(9), "argsz is 16, it has to be at least 17");
    assert_eq!(device_feature::Request::set(4, b"abcdefgh").argsz, 16);
    let probe = device_feature::Request::probe(4, Operation::SET);
    assert_eq!(probe.operation, Operation::PROBE | Operation::SET);
    let mut out = Vec::new();
    probe.reply(probe.data).encode(&mut out);
    assert_eq!(out, words(&[8, 0x0006_0004], b""));
}

#[test]
fn power_management_takes_three_values() {
    for bits in 0..16 {
        let data = PowerManagement {
            flags: PowerManagementFlags::from_bits_retain(bits),
            reserved: 1,
        };
        assert_eq!(
            data.check_set().is_ok(),
            [1, 2, 5].contains(&bits),
            "{bits}"
        );
    }
}

#[test]
fn mig_data() {
    judge(mig_data::ReadRequest::parse(&words(&[12, 4], b"")), "");
    judge(
        mig_data::ReadRequest::parse(&words(&[11, 4], b"")),
        "argsz is 11, it has to be at least 12",
    );
    judge(
        mig_data::ReadRequest::parse(&words(&[u32::MAX, u32::MAX], b"")),
        "it has to be at least 4294967303",
    );
    judge(mig_data::WriteRequest::parse(&words(&[12, 4], b"abcd")), "");
    judge(
        mig_data::WriteRequest::parse(&words(&[12, 4], b"abc")),
        "data is 3 bytes long, it has to be 4",
    );
}
