//! The log of dirty pages.

use std::os::fd::AsFd;

use anyhow::Result;

use super::super::server::Places;
use super::super::{Answer, Ask};
use super::{answer, attach};
use crate::os::Memory;
use crate::raw::wire::Bytes;
use crate::raw::wire::device_feature::{GET, SET};
use crate::raw::wire::dma_map::{FILE_IO, READ, WRITE};
use crate::testdev::register;

const START: u32 = 6;
const REPORT: u32 = 8;
const PAGE: u64 = 4096;
const BASE: u64 = 1 << 32;
/// Distance of dirty pages, each of which takes a part of the log for itself.
const APART: u64 = 16 << 20;
/// Bytes of memory behind the map.
const SIZE: u64 = APART << 10;
/// Bytes of a bitmap for a report of [`SIZE`] bytes.
const BITMAP: u32 = (SIZE / PAGE / 8) as u32;

/// A log with `size` dirty pages far apart, and a report of all of it and one of a page.
pub(super) fn reports(places: &Places) -> Result<Ask> {
    let mut client = attach(places)?;
    let memory = Memory::sealed(SIZE)?;
    let fd = Some(memory.as_fd());
    let mapped = client.dma_map(READ | WRITE | FILE_IO, 0, BASE, SIZE, fd)?;
    mapped.success()?;
    let start = Bytes::new().u64(PAGE).u32(0).u32(0);
    client
        .device_feature(24, SET | START, &start, &[])?
        .success()?;
    Ok(Box::new(move |size| {
        for number in 0..size {
            let target = BASE + number * APART;
            client.write(0, register::DMA_SRC, &BASE.to_le_bytes())?;
            client.write(0, register::DMA_DST, &target.to_le_bytes())?;
            client.write(0, register::DMA_LEN, &4_u32.to_le_bytes())?;
            client.write(0, register::DMA_COUNT, &1_u32.to_le_bytes())?;
            client.write(0, register::DMA_CTRL, &[1, 0, 0, 0])?;
            client.read(0, register::DMA_STATUS, 4)?;
        }
        let mut last = Answer::Served;
        for (length, bitmap) in [(PAGE, 8), (SIZE, BITMAP)] {
            let report = Bytes::new().u64(BASE).u64(length).u64(PAGE);
            let argsz = 8 + report.len() as u32 + bitmap;
            last = answer(&client.device_feature(argsz, GET | REPORT, &report, &[])?);
        }
        Ok(last)
    }))
}
