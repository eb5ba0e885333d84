//! Verbs that are not finished at once.
//!
//! A verb whose work can be long does none of it at first and returns [`Done::later`] with a [`Job`]. The
//! server steps the job, once in a turn of the loop, until it is done, and serves everybody else between
//! two steps. The reply leaves after the last step. The next lines of the same control client wait for it;
//! other control clients do not. The server does not notice while a job runs that its client has hung up:
//! the job goes on to its end. One that is dropped ends in the middle of its work.
//!
//! Nothing may rely on the device between two steps: clients and other control clients go on, and the
//! function may be stopped for migration.

use std::fmt::Debug;

use serde_json::Value;

use super::{ControlContext, ControlError, ControlReply, Done, Outcome, Reply};

/// The rest of a verb's work.
pub(super) trait Job: Debug + Send {
    /// Does a part of the work that takes about a millisecond at most. Returns the result when all of it is
    /// done.
    ///
    /// # Errors
    /// Those of the verb, which then ends.
    fn step(&mut self, cx: &mut ControlContext<'_>) -> Result<Option<Done>, ControlError>;
}

/// A line that has been executed, as far as one turn goes.
#[derive(Debug)]
pub(crate) enum Began {
    /// To its end.
    Done(ControlReply),
    /// The rest remains to be done.
    Unfinished(Unfinished),
}

/// The rest of the work for a line.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// The id of the reply.
    id: Value,
    job: Box<dyn Job>,
}

impl Unfinished {
    /// Does the next step.
    pub(crate) fn step(mut self, cx: &mut ControlContext<'_>) -> Began {
        match self.job.step(cx).transpose() {
            Some(result) => Began::new(self.id, result),
            None => Began::Unfinished(self),
        }
    }
}

impl Began {
    pub(super) fn new(id: Value, result: Result<Done, ControlError>) -> Self {
        let (outcome, action) = match result {
            Ok(Done { job: Some(job), .. }) => return Self::Unfinished(Unfinished { id, job }),
            Ok(Done { value, action, .. }) => (Outcome::Ok(value), action),
            Err(error) => (Outcome::Error(error), None),
        };
        Self::Done(ControlReply {
            text: Reply { id, outcome }.to_line(),
            action,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use super::*;

    /// A job of some steps.
    #[derive(Debug)]
    struct Steps(u32);

    impl Job for Steps {
        fn step(&mut self, _: &mut ControlContext<'_>) -> Result<Option<Done>, ControlError> {
            self.0 -= 1;
            Ok((self.0 == 0).then(|| Value::from("done").into()))
        }
    }

    #[test]
    fn a_job_replies_after_its_last_step() {
        let mut bench = Bench::new();
        let mut cx = bench.context();
        let mut began = Began::new(7.into(), Ok(Done::later(Steps(3))));
        for _ in 0..3 {
            let Began::Unfinished(unfinished) = began else {
                panic!("{began:?}");
            };
            began = unfinished.step(&mut cx);
        }
        let Began::Done(reply) = began else {
            panic!("{began:?}");
        };
        assert_eq!(reply.text, "{\"id\":7,\"ok\":\"done\"}\n");
    }
}
