//! The copy engine of the test device: one job at a time, with one slice in progress.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::registers::DmaStatus;
use crate::dma::{DmaError, DmaOp, DmaOutcome};
use crate::model::Context;

/// Maximum number of bytes of a job in progress at a time, so that a long copy does not delay other
/// work.
const SLICE: u32 = 1 << 20;

/// A job that `DMA_CTRL` started, with the parameters of that moment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    /// Bus address of the source.
    pub from: u64,
    /// Bus address of the destination.
    pub to: u64,
    /// Bytes of one copy.
    pub len: u32,
    /// Number of copies.
    pub count: u32,
    /// Message to send at the end, if any.
    pub vector: Option<u16>,
}

/// A job and its progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Running {
    job: Job,
    /// Number of completed bytes of the current copy.
    copied: u32,
    /// Number of copies left.
    left: u32,
    /// Number of bytes in progress.
    slice: u32,
    stop: bool,
}

/// The result of the last job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Last {
    /// No job has run since the last reset.
    #[default]
    Nothing,
    Complete,
    Failed(DmaError),
}

/// The copy engine. All of its fields are saved.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CopyEngine {
    running: Option<Running>,
    /// Distinguishes the slices of one job from those of another that was aborted.
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

    /// Aborts a running job when the function leaves D0.
    pub(super) fn abort(&mut self, cx: &mut Context<'_>) {
        if self.running.is_some() {
            self.finish(cx, Last::Failed(DmaError::Aborted));
        }
    }

    /// Resets the engine. The result of a job that the reset or an earlier power state cut off can
    /// be read afterwards.
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
