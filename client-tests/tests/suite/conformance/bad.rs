//! Servers that are wrong on purpose.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use client_tests::raw::wire::{Bytes, command, field_u16, field_u32, flag, header};
use tempfile::TempDir;

/// The mistake of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Everything is answered with success and with what came.
    AlwaysYes,
    /// Everything is answered with success and a byte too many.
    WrongSizes,
    /// It ends when a header makes no sense.
    DiesOfNonsense,
}

/// A server that runs until the test is over.
#[derive(Debug)]
pub struct Bad {
    socket: PathBuf,
    _folder: TempDir,
}

impl Bad {
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

pub fn serve(manner: Manner) -> Bad {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bad.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if converse(client, manner).is_none() && manner == Manner::DiesOfNonsense {
                return;
            }
        }
    });
    Bad {
        socket,
        _folder: folder,
    }
}

/// `None`: a header made no sense.
fn converse(mut client: UnixStream, manner: Manner) -> Option<()> {
    let mut head = [0; 16];
    while client.read_exact(&mut head).is_ok() {
        let size = field_u32(&head, 4).checked_sub(16);
        let size = size.filter(|size| *size < 1 << 21);
        if size.is_none() && manner == Manner::DiesOfNonsense {
            return None;
        }
        let mut payload = vec![0; size.unwrap_or(0) as usize];
        if client.read_exact(&mut payload).is_err() {
            break;
        }
        let number = field_u16(&head, 2);
        let mut reply = answer(number, payload);
        if manner == Manner::WrongSizes && number != command::VERSION {
            reply.push(0);
        }
        let id = field_u16(&head, 0);
        let message = header(id, number, 16 + reply.len() as u32, flag::REPLY, 0).bytes(&reply);
        if client.write_all(&message).is_err() {
            break;
        }
    }
    Some(())
}

fn answer(number: u16, payload: Vec<u8>) -> Vec<u8> {
    match number {
        command::DEVICE_GET_INFO => Bytes::new().u32(16).u32(0b10).u32(4).u32(4).into(),
        command::DEVICE_GET_REGION_INFO => {
            let head = Bytes::new()
                .u32(32)
                .u32(0b111)
                .u32(field_u32(&payload, 8))
                .u32(0);
            head.u64(0x1001).u64(0).into()
        }
        command::DEVICE_GET_IRQ_INFO => {
            let index = field_u32(&payload, 8);
            Bytes::new().u32(16).u32(0b100).u32(index).u32(4).into()
        }
        command::REGION_READ => {
            let count = field_u32(&payload, 12).min(1 << 20) as usize;
            [payload, vec![0; count]].concat()
        }
        _ => payload,
    }
}
