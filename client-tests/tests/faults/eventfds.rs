//! Eventfds that are full, closed, or none at all.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Result, ensure};
use client_tests::os::{Event, Memory};
use client_tests::raw::SetIrqs;
use client_tests::raw::wire::device_feature::SET;
use client_tests::raw::wire::set_irqs::{ACTION_TRIGGER, ACTION_UNMASK, DATA_EVENTFD, DATA_NONE};
use client_tests::raw::wire::{EINVAL, irq, region};
use client_tests::testdev::{Driver, VECTORS, register, signals};
use rustix::event::{EventfdFlags, eventfd};
use rustix::pipe::pipe;

use super::bench::{Bench, Case, case};

/// LOW_POWER_ENTRY_WITH_WAKEUP.
const ENTRY_WITH_WAKEUP: u32 = 4;
const ALMOST_FULL: u64 = u64::MAX - 1;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("eventfds of messages are full", full),
        case("the wake-up eventfd is full", full_wakeup),
        case("the client closes eventfds that are bound", closed),
        case("one eventfd is bound to every vector", shared),
        case("an eventfd counts like a semaphore", semaphore),
        case("trigger and resampling eventfd are the same", feeds_itself),
        case("two functions resample each other", feed_each_other),
    ];
    for (what, make) in IMPOSTORS {
        for (place, flags, index) in [
            ("trigger of INTx", DATA_EVENTFD | ACTION_TRIGGER, irq::INTX),
            (
                "trigger of a message",
                DATA_EVENTFD | ACTION_TRIGGER,
                irq::MSIX,
            ),
            (
                "resampling eventfd",
                DATA_EVENTFD | ACTION_UNMASK,
                irq::INTX,
            ),
        ] {
            let name = format!("{what} is given as {place}");
            cases.push(case(name, move |bench| {
                impostor(bench, &make()?, flags, index)
            }));
        }
        let name = format!("{what} is given as wake-up eventfd");
        cases.push(case(name, move |bench| {
            let mut driver = Driver::attach(&bench.socket())?;
            let flags = SET | ENTRY_WITH_WAKEUP;
            let fd = make()?;
            let reply = driver
                .client
                .device_feature(16, flags, &[0; 8], &[fd.as_fd()])?;
            let errno = reply.failure()?;
            ensure!(errno == EINVAL, "errno {errno}");
            Ok(())
        }));
    }
    cases
}

/// Something that is no eventfd.
type Impostor = (&'static str, fn() -> Result<OwnedFd>);

const IMPOSTORS: [Impostor; 3] = [
    ("a pipe", || Ok(pipe()?.1)),
    ("a memory file", || {
        Ok(Memory::new(4096)?.as_fd().try_clone_to_owned()?)
    }),
    ("a directory", || Ok(std::fs::File::open("/")?.into())),
];

fn impostor(bench: &Bench, fd: &OwnedFd, flags: u32, index: u32) -> Result<()> {
    let mut driver = Driver::attach(&bench.socket())?;
    let request = SetIrqs {
        flags,
        index,
        count: 1,
        ..SetIrqs::default()
    };
    let errno = driver.client.set_irqs(request, &[fd.as_fd()])?.failure()?;
    ensure!(errno == EINVAL, "errno {errno}");
    Ok(())
}

fn fill(event: &Event) -> Result<()> {
    rustix::io::write(event, &ALMOST_FULL.to_ne_bytes())?;
    Ok(())
}

fn full(bench: &Bench) -> Result<()> {
    let (mut driver, events) = Driver::with_messages(&bench.socket())?;
    for event in &events {
        fill(event)?;
    }
    for vector in 0..VECTORS {
        driver.set_register(register::IRQ_TRIGGER, vector)?;
    }
    for event in &events {
        let count = event.take()?;
        ensure!(count == ALMOST_FULL, "{count}");
    }
    driver.set_register(register::IRQ_TRIGGER, 3)?;
    let came = signals(&events[3])?;
    ensure!(came == 1, "with room again, {came} came");
    Ok(())
}

fn full_wakeup(bench: &Bench) -> Result<()> {
    let mut driver = Driver::attach(&bench.socket())?;
    let event = Event::new()?;
    fill(&event)?;
    driver.set_feature(ENTRY_WITH_WAKEUP, &[event.as_fd()])?;
    driver.client.read(region::CONFIG, 0, 4)?;
    let count = event.take()?;
    ensure!(count == ALMOST_FULL, "{count}");
    Ok(())
}

fn closed(bench: &Bench) -> Result<()> {
    let (mut driver, events) = Driver::with_messages(&bench.socket())?;
    drop(events);
    for vector in 0..VECTORS {
        driver.set_register(register::IRQ_TRIGGER, vector)?;
    }
    Ok(())
}

fn bind(driver: &mut Driver, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let request = SetIrqs {
        flags: DATA_EVENTFD | ACTION_TRIGGER,
        index: irq::MSIX,
        count: fds.len() as u32,
        ..SetIrqs::default()
    };
    driver.client.set_irqs(request, fds)?.success()?;
    driver.enable_msix(true)
}

fn shared(bench: &Bench) -> Result<()> {
    let mut driver = Driver::attach(&bench.socket())?;
    let event = Event::new()?;
    bind(&mut driver, &[event.as_fd(); VECTORS as usize])?;
    for vector in 0..VECTORS {
        driver.set_register(register::IRQ_TRIGGER, vector)?;
    }
    let came = signals(&event)?;
    ensure!(came == u64::from(VECTORS), "{came} came");
    Ok(())
}

fn semaphore(bench: &Bench) -> Result<()> {
    let mut driver = Driver::attach(&bench.socket())?;
    let flags = EventfdFlags::SEMAPHORE | EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
    let event = Event::from(eventfd(0, flags)?);
    bind(&mut driver, &[event.as_fd()])?;
    driver.set_register(register::IRQ_TRIGGER, 0)?;
    driver.set_register(register::IRQ_TRIGGER, 0)?;
    for expected in [1, 1, 0] {
        let came = event.take()?;
        ensure!(came == expected, "{came} came instead of {expected}");
    }
    Ok(())
}

/// SET_IRQS that gives INTx an eventfd.
fn intx(action: u32) -> SetIrqs<'static> {
    SetIrqs {
        flags: DATA_EVENTFD | action,
        index: irq::INTX,
        count: 1,
        ..SetIrqs::default()
    }
}

/// Such a pair is refused, whichever of the two is set last; with another eventfd it is not.
fn feeds_itself(bench: &Bench) -> Result<()> {
    let mut driver = Driver::attach(&bench.socket())?;
    let (event, other) = (Event::new()?, Event::new()?);
    for (first, last) in [
        (ACTION_TRIGGER, ACTION_UNMASK),
        (ACTION_UNMASK, ACTION_TRIGGER),
    ] {
        let mut set =
            |action, event: &Event| driver.client.set_irqs(intx(action), &[event.as_fd()]);
        set(first, &event)?.success()?;
        let errno = set(last, &event)?.failure()?;
        ensure!(errno == EINVAL, "errno {errno}");
        set(last, &other)?.success()?;
        driver.set_register(register::IRQ_TRIGGER, 0)?;
        let (trigger, resample) = if first == ACTION_TRIGGER {
            (&event, &other)
        } else {
            (&other, &event)
        };
        let came = signals(trigger)?;
        ensure!(came == 1, "{came} came");
        driver.set_register(register::IRQ_ACK, 0)?;
        // Ends the mask that the interrupt has left.
        resample.signal()?;
        let disable = SetIrqs {
            flags: DATA_NONE | ACTION_TRIGGER,
            count: 0,
            ..intx(0)
        };
        driver.client.set_irqs(disable, &[])?.success()?;
    }
    Ok(())
}

/// Each function's interrupt asks the other for its next one. Nobody else is kept from being served.
fn feed_each_other(bench: &Bench) -> Result<()> {
    let mut one = Driver::attach(&bench.socket())?;
    let mut other = Driver::attach(&bench.neighbour_socket())?;
    let (to_one, to_other) = (Event::new()?, Event::new()?);
    for (driver, trigger, resample) in [
        (&mut one, &to_other, &to_one),
        (&mut other, &to_one, &to_other),
    ] {
        for (action, event) in [(ACTION_TRIGGER, trigger), (ACTION_UNMASK, resample)] {
            let reply = driver.client.set_irqs(intx(action), &[event.as_fd()])?;
            reply.success()?;
        }
        driver.set_register(register::IRQ_TRIGGER, 0)?;
    }
    let mut control = bench.control()?;
    for _ in 0..500 {
        other.client.read(region::CONFIG, 0, 4)?;
        control.command(&["status"])?;
    }
    Ok(())
}
