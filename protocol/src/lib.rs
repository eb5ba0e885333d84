//! The vfio-user protocol without I/O: bytes become messages and messages become bytes. No sockets,
//! no clocks, no threads, and no knowledge of devices. A server, a client, a fuzzer and a packet
//! dump can all use the same code.
//!
//! - [`framing`] splits a byte stream that arrives in arbitrary pieces into messages, and skips messages
//!   that it refuses.
//! - [`messages`] has a module per command with its request and its reply, each with `parse` and
//!   `encode`, so either end of the wire can be built from it. Parsing borrows from the input.
//! - [`encoder`] puts headers in front of payloads, in place.
//! - [`vfio`] has the numbers of `<linux/vfio.h>` as types, which device models use as well.
//! - [`errno`] has the error numbers that replies carry; every error of this crate knows its own.
//!
//! Numbers on the wire have the host's byte order. Configuration space, which is little-endian
//! everywhere, is data here.
//!
//! # Commands
//!
//! | # | Command | Sent by | Request | Reply |
//! |---|---|---|---|---|
//! | 1 | VERSION | client | [`version::Proposal`] | [`version::Reply`] |
//! | 2 | DMA_MAP | client | [`dma_map::Request`], 0 or 1 descriptor | empty |
//! | 3 | DMA_UNMAP | client | [`dma_unmap::Request`] | [`dma_unmap::Reply`] |
//! | 4 | DEVICE_GET_INFO | client | [`device_info::Request`] | [`device_info::Reply`] |
//! | 5 | DEVICE_GET_REGION_INFO | client | [`region_info::Request`] | [`region_info::RegionInfo`], descriptors if mappable |
//! | 6 | DEVICE_GET_REGION_IO_FDS | client | [`region_io_fds::Request`] | [`region_io_fds::RegionIoFds`], descriptors |
//! | 7 | DEVICE_GET_IRQ_INFO | client | [`irq_info::Request`] | [`irq_info::Reply`] |
//! | 8 | DEVICE_SET_IRQS | client | [`set_irqs::Request`], 0 or `count` descriptors | empty |
//! | 9 | REGION_READ | client | [`region_access::ReadRequest`] | [`region_access::ReadReply`] |
//! | 10 | REGION_WRITE | client | [`region_access::WriteRequest`] | [`region_access::WriteReply`] |
//! | 11 | DMA_READ | server | [`dma_access::ReadRequest`] | [`dma_access::ReadReply`] |
//! | 12 | DMA_WRITE | server | [`dma_access::WriteRequest`] | [`dma_access::WriteReply`] |
//! | 13 | DEVICE_RESET | client | empty | empty |
//! | 15 | REGION_WRITE_MULTI | client | [`write_multi::Request`] | [`write_multi::Reply`] |
//! | 16 | DEVICE_FEATURE | client | [`device_feature::Request`] | [`device_feature::Reply`] |
//! | 17 | MIG_DATA_READ | client | [`mig_data::ReadRequest`] | [`mig_data::ReadReply`] |
//! | 18 | MIG_DATA_WRITE | client | [`mig_data::WriteRequest`] | empty |
//! | 19 | GET_PRECOPY_INFO | client | [`precopy_info::Request`] | [`precopy_info::Reply`] |
//!
//! # Example
//!
//! A server's inner loop, with the device left out:
//!
//! ```
//! use vfio_user_protocol::messages::region_access::{ReadReply, ReadRequest};
//! use vfio_user_protocol::{Command, Decoder, Errno, Limits, error_reply, respond};
//!
//! /// Answers the complete messages in `input` and returns the number of bytes consumed.
//! fn serve(decoder: &mut Decoder, input: &[u8], output: &mut Vec<u8>) -> usize {
//!     let mut batch = decoder.batch(input);
//!     for item in batch.by_ref() {
//!         match item {
//!             Ok(frame) => respond(output, &frame.header, |body| match Command::try_from(frame.header.command) {
//!                 Ok(Command::RegionRead) => {
//!                     let request = ReadRequest::parse(frame.payload).map_err(|error| error.errno())?;
//!                     ReadReply::reserve(&request.access, body).fill(0xff);
//!                     Ok(())
//!                 }
//!                 _ => Err(Errno::EINVAL),
//!             }),
//!             Err(invalid) => error_reply(output, &invalid.header, invalid.error.errno()),
//!         }
//!     }
//!     batch.consumed()
//! }
//! # let mut output = Vec::new();
//! # let bytes = vfio_user_protocol::Header::command(1, Command::DeviceReset).to_bytes();
//! # assert_eq!(serve(&mut Decoder::new(Limits::for_transfers(4096)), &bytes, &mut output), 16);
//! # assert_eq!(output.len(), 16);
//! ```
//!
//! [`version::Proposal`]: messages::version::Proposal
//! [`version::Reply`]: messages::version::Reply
//! [`dma_map::Request`]: messages::dma_map::Request
//! [`dma_unmap::Request`]: messages::dma_unmap::Request
//! [`dma_unmap::Reply`]: messages::dma_unmap::Reply
//! [`device_info::Request`]: messages::device_info::Request
//! [`device_info::Reply`]: messages::device_info::Reply
//! [`region_info::Request`]: messages::region_info::Request
//! [`region_info::RegionInfo`]: messages::region_info::RegionInfo
//! [`region_io_fds::Request`]: messages::region_io_fds::Request
//! [`region_io_fds::RegionIoFds`]: messages::region_io_fds::RegionIoFds
//! [`irq_info::Request`]: messages::irq_info::Request
//! [`irq_info::Reply`]: messages::irq_info::Reply
//! [`set_irqs::Request`]: messages::set_irqs::Request
//! [`region_access::ReadRequest`]: messages::region_access::ReadRequest
//! [`region_access::ReadReply`]: messages::region_access::ReadReply
//! [`region_access::WriteRequest`]: messages::region_access::WriteRequest
//! [`region_access::WriteReply`]: messages::region_access::WriteReply
//! [`dma_access::ReadRequest`]: messages::dma_access::ReadRequest
//! [`dma_access::ReadReply`]: messages::dma_access::ReadReply
//! [`dma_access::WriteRequest`]: messages::dma_access::WriteRequest
//! [`dma_access::WriteReply`]: messages::dma_access::WriteReply
//! [`write_multi::Request`]: messages::write_multi::Request
//! [`write_multi::Reply`]: messages::write_multi::Reply
//! [`device_feature::Request`]: messages::device_feature::Request
//! [`device_feature::Reply`]: messages::device_feature::Reply
//! [`mig_data::ReadRequest`]: messages::mig_data::ReadRequest
//! [`mig_data::ReadReply`]: messages::mig_data::ReadReply
//! [`mig_data::WriteRequest`]: messages::mig_data::WriteRequest
//! [`precopy_info::Request`]: messages::precopy_info::Request
//! [`precopy_info::Reply`]: messages::precopy_info::Reply
#![forbid(unsafe_code)]

pub mod command;
pub mod encoder;
pub mod errno;
mod error;
pub mod framing;
pub mod header;
mod message_type;
pub mod messages;
pub mod vfio;
mod wire;

pub use command::{Command, Direction, Subject, UnknownCommand};
pub use encoder::{Encoder, MessageTooLong, error_reply, respond};
pub use errno::Errno;
pub use error::MessageError;
pub use framing::{Batch, Decoded, Decoder, Extent, Frame, FrameError, Invalid, Limits, decode};
pub use header::{HEADER_SIZE, Header, HeaderFlags};
pub use message_type::MessageType;
