//! The copy engine of the test device: one job at a time, one slice of it under way.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::registers::DmaStatus;
use crate::dma::{DmaError, DmaOp, DmaOutcome};
use crate::model::Context;

/// Bytes of a job that are under way at a time at most: a long copy holds up nothing else.
const SLICE: u32 = 1 << 20;

/// What `DMA_CTRL` started, with the parameters of that moment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    /// Bus address of the source.
    pub from: u64,
    /// Bus address of the destination.
    pub to: u64,
    /// Bytes of one copy.
    pub len: u32,
    /// Copies.
    pub count: u32,
    /// Message to send at the end, if any.
    pub vector: Option<u16>,
}

/// A job and how far it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Running {
    job: Job,
    /// Bytes of the current copy that are done.
    copied: u32,
    /// Copies that are not done.
    left: u32,
    /// Bytes under way.
    slice: u32,
    stop: bool,
}

/// How the last job ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Last {
    /// There was none since the last reset.
    #[default]
    Nothing,
    Complete,
    Failed(DmaError),
}

/// The copy engine. It is saved as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CopyEngine {
    running: Option<Running>,
    /// Tells the slices of one job from those of another that was aborted.
    tag: u32,
    last: Last,
}

impl CopyEngine {
    pub(super) fn status(&self) -> DmaStatus {
        let idle = self.running.is_none();
        let status = DmaStatus::new()
            .with_busy(!idle)
            .with_done(idle && self.last != Last::Nothing);
        match self.last {
            Last::Failed(error) if idle => status.with_error(true).with_code(error_code(error)),
            _ => status,
        }
    }

    pub(super) fn start(&mut self, cx: &mut Context<'_>, job: Job) {
        if self.running.is_some() {
            return;
        }
        self.tag = self.tag.wrapping_add(1);
        self.running = Some(Running {
            job,
            copied: 0,
            left: if job.len == 0 { 0 } else { job.count },
            slice: 0,
            stop: false,
        });
        self.go_on(cx);
    }

    pub(super) fn stop(&mut self) {
        if let Some(running) = &mut self.running {
            running.stop = true;
        }
    }

    /// The function leaves D0 under a running job.
    pub(super) fn abort(&mut self, cx: &mut Context<'_>) {
        if self.running.is_some() {
            self.finish(cx, Last::Failed(DmaError::Aborted));
        }
    }

    /// The function was reset. What became of a job that it cut off can be read afterwards, and so
    /// can what became of one that a power state had cut off before.
    pub(super) fn reset(&mut self) {
        let aborted = Last::Failed(DmaError::Aborted);
        if self.running.take().is_some() {
            self.last = aborted;
        } else if self.last != aborted {
            self.last = Last::Nothing;
        }
    }

    pub(super) fn slice_done(&mut self, cx: &mut Context<'_>, tag: u32, outcome: DmaOutcome<'_>) {
        let Some(running) = self.running.as_mut().filter(|_| tag == self.tag) else {
            return;
        };
        if let Err(error) = outcome {
            self.finish(cx, Last::Failed(error));
            return;
        }
        running.copied = running.copied.saturating_add(running.slice);
        if running.copied >= running.job.len {
            running.copied = 0;
            running.left = running.left.saturating_sub(1);
        }
        self.go_on(cx);
    }

    /// Starts the next slice, or ends the job.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        let Some(running) = &mut self.running else {
            return;
        };
        if running.left == 0 || running.stop {
            self.finish(cx, Last::Complete);
            return;
        }
        let (job, done) = (running.job, u64::from(running.copied));
        running.slice = job.len.saturating_sub(running.copied).min(SLICE);
        let copy = DmaOp::Copy {
            from: job.from.wrapping_add(done),
            to: job.to.wrapping_add(done),
            len: running.slice,
        };
        if let Err(error) = cx.dma(self.tag, copy) {
            self.finish(cx, Last::Failed(error));
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>, last: Last) {
        self.last = last;
        if let Some(vector) = self.running.take().and_then(|running| running.job.vector) {
            cx.interrupt(vector);
        }
    }

    pub(super) fn inspect(&self) -> Value {
        let status = self.status();
        json!({
            "busy": status.busy(),
            "done": status.done(),
            "error_code": status.code(),
            "copies_left": self.running.as_ref().map(|running| running.left),
        })
    }
}

const fn error_code(error: DmaError) -> u8 {
    match error {
        DmaError::Unmapped { .. } => 1,
        DmaError::NotPermitted { .. } => 2,
        DmaError::BusMasterOff => 3,
        DmaError::Aborted => 4,
    }
}
