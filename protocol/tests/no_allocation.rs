//! Nothing on the path of a request allocates: neither cutting the stream into messages, nor
//! parsing one, nor answering it into a buffer that has grown to its size.

use vfio_user_protocol::messages::device_feature::{self, dma_logging};
use vfio_user_protocol::messages::region_access::{
    Access, ReadReply, ReadRequest, WriteReply, WriteRequest,
};
use vfio_user_protocol::messages::region_info::{
    self, Capability, RegionFlags, RegionInfo, SparseArea,
};
use vfio_user_protocol::messages::{dma_map, dma_unmap, set_irqs, write_multi};
use vfio_user_protocol::vfio::RegionIndex;
use vfio_user_protocol::{
    Command, Decoder, Encoder, Errno, Frame, Header, HeaderFlags, Limits, MessageError, respond,
};

/// A command with this payload.
fn command(command: Command, payload: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut message = Encoder::command(&mut out, 1, command);
    payload(message.body());
    message.finish().unwrap();
    out
}

fn stream() -> Vec<u8> {
    let range = dma_logging::Range {
        iova: 0,
        length: 0x1000,
    };
    let mut logging = Vec::new();
    dma_logging::Start::encode(4096, [range].into_iter(), &mut logging);
    let bad_type = Header {
        flags: HeaderFlags::from_bits_retain(9),
        ..Header::command(2, Command::DmaRead)
    };
    [
        command(Command::RegionRead, |out| {
            ReadRequest {
                access: Access {
                    offset: 0,
                    region: 7,
                    count: 64,
                },
            }
            .encode(out);
        }),
        command(Command::RegionWrite, |out| {
            WriteRequest::new(0, 4, b"data").encode(out)
        }),
        bad_type.to_bytes().to_vec(),
        command(Command::RegionWrite, |out| {
            out.extend_from_slice(b"too short")
        }),
        command(Command::DmaMap, |out| {
            let flags = dma_map::DmaMapFlags::READ;
            dma_map::Request {
                flags,
                offset: 0,
                address: 0,
                size: 4096,
            }
            .encode(out);
        }),
        command(Command::DmaUnmap, |out| {
            let target = dma_unmap::Target::Range {
                address: 0,
                size: 4096,
            };
            dma_unmap::Request {
                target,
                bitmap: None,
            }
            .encode(out);
        }),
        command(Command::DeviceSetIrqs, |out| {
            let data = set_irqs::Data::Bool(&[0, 1]);
            set_irqs::Request {
                action: set_irqs::Action::Trigger,
                data,
                index: 2,
                start: 0,
                count: 2,
            }
            .encode(out);
        }),
        command(Command::RegionWriteMulti, |out| {
            let write = write_multi::Write {
                offset: 0,
                region: 0,
                count: 4,
                data: [0; 8],
            };
            write_multi::Request::encode(&[write; 3], out);
        }),
        command(Command::DeviceFeature, |out| {
            let feature = device_feature::Feature::DmaLoggingStart.number();
            device_feature::Request::set(feature, &logging).encode(out);
        }),
        command(Command::DeviceGetRegionInfo, |out| {
            region_info::Request {
                argsz: 64,
                index: 2,
            }
            .encode(out);
        }),
    ]
    .concat()
}

fn answer(frame: &Frame<'_>, region: &RegionInfo, out: &mut Vec<u8>) -> Result<(), MessageError> {
    match Command::try_from(frame.header.command) {
        Ok(Command::RegionRead) => {
            let request = ReadRequest::parse(frame.payload)?;
            ReadReply::reserve(&request.access, out).fill(0xff);
        }
        Ok(Command::RegionWrite) => {
            let request = WriteRequest::parse(frame.payload)?;
            WriteReply {
                access: request.access,
            }
            .encode(out);
        }
        Ok(Command::DmaMap) => drop(dma_map::Request::parse(frame.payload)?),
        Ok(Command::DmaUnmap) => {
            let request = dma_unmap::Request::parse(frame.payload)?;
            dma_unmap::Reply {
                target: request.target,
                bitmap: None,
            }
            .encode(out);
        }
        Ok(Command::DeviceSetIrqs) => {
            assert_eq!(
                set_irqs::Request::parse(frame.payload)?
                    .selected()
                    .sum::<u32>(),
                1
            );
        }
        Ok(Command::RegionWriteMulti) => {
            let completed = write_multi::Request::parse(frame.payload)?.writes().len() as u64;
            write_multi::Reply { completed }.encode(out);
        }
        Ok(Command::DeviceFeature) => {
            let request = device_feature::Request::parse(frame.payload)?;
            assert_eq!(dma_logging::Start::parse(request.data)?.ranges().len(), 1);
            request.reply(request.data).encode(out);
        }
        Ok(Command::DeviceGetRegionInfo) => {
            region.encode(region_info::Request::parse(frame.payload)?.argsz, out);
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// Answers everything and counts: good answers, malformed messages, refused headers.
fn serve(stream: &[u8], region: &RegionInfo, out: &mut Vec<u8>) -> [u32; 3] {
    let mut decoder = Decoder::new(Limits::for_transfers(4096));
    let mut counts = [0; 3];
    for item in decoder.batch(stream) {
        match item {
            Ok(frame) => respond(out, &frame.header, |out| {
                let outcome = answer(&frame, region, out);
                counts[usize::from(outcome.is_err())] += 1;
                outcome.map_err(|error| error.errno())
            }),
            Err(invalid) => {
                counts[2] += 1;
                vfio_user_protocol::error_reply(out, &invalid.header, Errno::EINVAL);
            }
        }
    }
    counts
}

#[test]
fn the_request_path_does_not_allocate() {
    let stream = stream();
    let region = RegionInfo {
        flags: RegionFlags::READ | RegionFlags::MMAP,
        index: RegionIndex::Bar2.number(),
        size: 0x2000,
        offset: 0,
        capabilities: vec![Capability::SparseMmap(vec![SparseArea {
            offset: 0,
            size: 0x1000,
        }])],
    };
    let mut out = Vec::with_capacity(4096);
    let mut counts = [0; 3];
    let allocations = allocation_counter::measure(|| counts = serve(&stream, &region, &mut out));
    assert_eq!(counts, [8, 1, 1]);
    assert_eq!(allocations.count_total, 0);
}
