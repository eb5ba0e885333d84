//! A busy client beside others that are silent, slow or take no replies.

use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use client_tests::os;
use client_tests::raw::RawClient;
use client_tests::raw::wire::{Bytes, command, flag, message, region};

use crate::Setting;
use crate::link::{Link, Request};
use crate::placement::Placement;
use crate::report::{Against, Report, Row};
use crate::rounds::{Contestant, Metric, Outcome};
use crate::servers::{Server, Subject};

const REQUESTS: usize = 5000;
/// Functions of a daemon: that of the busy client, and one for each of the others.
const FUNCTIONS: usize = 4;
/// Between two bytes of the slow client.
const PAUSE: Duration = Duration::from_millis(2);

/// The 99th percentile with such neighbours, to that without. Those without stand in the floor's place.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let request = Request::read(region::CONFIG, 0, 4);
    for placement in [Placement::A, setting.cpus.at_best(Placement::B)] {
        let (beside, alone) = (daemon(setting)?, daemon(setting)?);
        let _neighbours = Neighbours::of(&beside)?;
        let mut contestants = [busy(Subject::Ours, beside)?, busy(Subject::Floor, alone)?];
        let outcome = Outcome::of(setting, placement, &mut contestants, |contestant| {
            contestant.sample(REQUESTS, 1, Duration::ZERO, |contestant| {
                contestant.link().exchange(&request)
            })
        })?;
        let case = "read 4 B beside three bad neighbours, to without";
        for metric in [Metric::P50, Metric::P99] {
            let row = Row::of(&outcome, case, placement, metric);
            report.add(match metric {
                Metric::P99 => row.target(Against::Floor, 1.2),
                _ => row,
            });
        }
    }
    Ok(())
}

fn daemon(setting: &Setting) -> Result<Server> {
    Server::dormouse(&setting.dormouse, &[&[][..]; FUNCTIONS])
}

/// The client of the first function.
fn busy(subject: Subject, server: Server) -> Result<Contestant> {
    let link = Link::new(Subject::Ours, &server.sockets()[0])?;
    Ok(Contestant {
        subject,
        server: Some(server),
        links: vec![link],
    })
}

/// The clients of the others. They go when this is dropped.
#[derive(Debug)]
struct Neighbours {
    _silent: RawClient,
    _deaf: RawClient,
    _end: Sender<()>,
}

impl Neighbours {
    fn of(server: &Server) -> Result<Self> {
        let connect = |function: usize| RawClient::connect(&server.sockets()[function]);
        let (end, ended) = channel();
        let slow = connect(2)?;
        thread::spawn(move || trickle(&slow, &ended));
        Ok(Self {
            _silent: connect(1)?,
            _deaf: deaf(connect(3)?)?,
            _end: end,
        })
    }
}

/// Asks for the version, a byte at a time, over and over. That is refused from the second time on.
fn trickle(slow: &RawClient, ended: &Receiver<()>) {
    let version = Bytes::new().u16(0).u16(1);
    for byte in message(1, command::VERSION, flag::COMMAND, &version)
        .into_iter()
        .cycle()
    {
        let is_over = ended.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout);
        if is_over || slow.send(&[byte], &[]).is_err() {
            return;
        }
    }
}

/// Asks for more than the server may keep for it, and takes nothing.
fn deaf(mut client: RawClient) -> Result<RawClient> {
    client.version(0, 1, None)?.success()?;
    while os::writable(client.as_fd(), Duration::from_millis(50))? {
        client.post_read(2, 0, 0x1_0000)?;
    }
    Ok(client)
}
