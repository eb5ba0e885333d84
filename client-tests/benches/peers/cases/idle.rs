//! The work of a server while its client is silent.

use std::time::Duration;

use anyhow::Result;

use super::ours;
use crate::Setting;
use crate::link::{Request, SCRATCH};
use crate::placement::Placement;
use crate::report::{Against, Report, Row};

/// For how long nothing is asked.
const SILENCE: Duration = Duration::from_secs(2);
/// Until the loop has gone to sleep.
const SETTLING: Duration = Duration::from_millis(200);

pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let placement = setting.cpus.at_best(Placement::B);
    let mut contestant = ours(setting, &[])?;
    for _ in 0..1000 {
        contestant.link().exchange(&Request::read(0, SCRATCH, 4))?;
    }
    std::thread::sleep(SETTLING);
    let Some(server) = &contestant.server else {
        return Ok(());
    };
    let (cpu, switches) = (server.cpu()?, server.switches()?);
    std::thread::sleep(SILENCE);
    let seconds = SILENCE.as_secs_f64();
    let cpu = (server.cpu()? - cpu) / 1000.0 / seconds;
    let switches = (server.switches()? - switches) as f64 / seconds;
    let row = |metric, value, unit| {
        Row::new("idle, one second", placement, metric, value, unit).target(Against::Value, 0.0)
    };
    report.add(row("server CPU", cpu, "µs"));
    report.add(row("wake-ups", switches, ""));
    Ok(())
}
