//! Measuring in rounds: the servers take turns, and medians are told.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Setting;
use crate::link::Link;
use crate::placement::Placement;
use crate::servers::{Server, Subject, own_cpu};

/// A server with its clients, or with none this program itself, for what needs no server.
#[derive(Debug)]
pub struct Contestant {
    pub subject: Subject,
    pub server: Option<Server>,
    pub links: Vec<Link>,
}

impl Contestant {
    /// A server and a client on each of its sockets.
    pub fn new(subject: Subject, server: Server) -> Result<Self> {
        let links = Link::all(subject, &server)?;
        Ok(Self {
            subject,
            server: Some(server),
            links,
        })
    }

    /// The only client, or the first.
    pub fn link(&mut self) -> &mut Link {
        &mut self.links[0]
    }

    pub fn cpu(&self) -> Result<f64> {
        self.server.as_ref().map_or_else(own_cpu, Server::cpu)
    }

    /// Does something `count` times, after some times to warm up, no more often than every `gap`.
    /// Each time counts as `parts` operations.
    pub fn sample(
        &mut self,
        count: usize,
        parts: usize,
        gap: Duration,
        mut once: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<Sample> {
        for _ in 0..count / 8 {
            pass(gap);
            once(self)?;
        }
        let mut times = Vec::with_capacity(count);
        let cpu = self.cpu()?;
        for _ in 0..count {
            pass(gap);
            let begun = Instant::now();
            once(self)?;
            times.push(begun.elapsed().as_nanos() as f64);
        }
        let cpu = (self.cpu()? - cpu) / count as f64;
        let mean = times.iter().sum::<f64>() / count as f64;
        let parts = parts as f64;
        let (p50, p99) = (quantile(&mut times, 50), quantile(&mut times, 99));
        Ok(Sample {
            p50: p50 / parts,
            p99: p99 / parts,
            mean: mean / parts,
            cpu: cpu / parts,
        })
    }
}

/// Lets time pass without sleeping, from which it would take time to wake up.
fn pass(gap: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < gap {
        std::hint::spin_loop();
    }
}

/// The time of one operation in a round, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub p50: f64,
    pub p99: f64,
    pub mean: f64,
    /// The server's.
    pub cpu: f64,
}

/// One of the numbers of a [`Sample`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    P50,
    P99,
    Mean,
    Cpu,
}

impl Metric {
    const fn of(self, sample: &Sample) -> f64 {
        match self {
            Self::P50 => sample.p50,
            Self::P99 => sample.p99,
            Self::Mean => sample.mean,
            Self::Cpu => sample.cpu,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::Mean => "mean",
            Self::Cpu => "server CPU",
        }
    }
}

/// The figures of all rounds.
#[derive(Debug)]
pub struct Outcome {
    of: Vec<(Subject, Vec<Sample>)>,
}

impl Outcome {
    /// Has everybody take part in every round. `measure` is told how, and with whom.
    pub fn of(
        setting: &Setting,
        placement: Placement,
        contestants: &mut [Contestant],
        mut measure: impl FnMut(&mut Contestant) -> Result<Sample>,
    ) -> Result<Self> {
        let mut of: Vec<_> = contestants
            .iter()
            .map(|contestant| (contestant.subject, Vec::new()))
            .collect();
        for contestant in contestants.iter_mut() {
            for link in &mut contestant.links {
                link.spin = placement == Placement::C;
            }
            if let Some(server) = &contestant.server {
                setting.cpus.place(placement, server.pid())?;
                server.pause()?;
            }
        }
        for _ in 0..setting.rounds {
            for (contestant, (_, samples)) in contestants.iter_mut().zip(&mut of) {
                if let Some(server) = &contestant.server {
                    server.resume()?;
                }
                samples.push(measure(contestant)?);
                if let Some(server) = &contestant.server {
                    server.pause()?;
                }
            }
        }
        for server in contestants.iter().filter_map(|c| c.server.as_ref()) {
            server.resume()?;
        }
        Ok(Self { of })
    }

    fn samples(&self, subject: Subject) -> Option<&[Sample]> {
        let mut all = self.of.iter();
        all.find(|(of, _)| *of == subject).map(|(_, s)| &s[..])
    }

    /// The median of a subject, if it took part.
    pub fn value(&self, subject: Subject, metric: Metric) -> Option<f64> {
        let samples = self.samples(subject)?;
        Some(median(samples.iter().map(|s| metric.of(s)).collect()))
    }

    /// The median of the ratios of ours to another.
    pub fn ratio(&self, to: Subject, metric: Metric) -> Option<f64> {
        let pairs = self.samples(Subject::Ours)?.iter().zip(self.samples(to)?);
        let ratios = pairs.map(|(ours, other)| metric.of(ours) / metric.of(other));
        Some(median(ratios.collect()))
    }
}

/// The value in the middle; of none, zero.
pub fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 50)
}

/// The value that `percent` of the values are below; of none, zero.
fn quantile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = values.len() * percent / 100;
    values.get(at).copied().unwrap_or_default()
}
