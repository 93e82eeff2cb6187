//! A capture job: the disk is read, never written.

use std::ops::ControlFlow;

use images::blockdev::FileDev;
use images::capture::{self, CaptureError};
use images::disks;
use images::protocol::{Finish, Phase};

use super::chunks::HttpChunks;
use super::reporter::Reporter;
use super::{Context, JobError};
use crate::clock;
use crate::line::Line;

pub(super) fn run(
    context: &Context<'_>,
    line: &Line,
    job: &str,
    image: &str,
    reporter: &Reporter<'_>,
) -> Result<Finish, JobError> {
    let candidates = context.machine.candidates();
    let disk = &disks::choose(&candidates, None)?.disk;
    let path = context.machine.device(&disk.name);
    let dev = FileDev::open_read(&path).map_err(|source| JobError::Open { path, source })?;
    let plan = capture::plan(&dev).map_err(JobError::Capture)?;
    for warning in &plan.warnings {
        line.screen().note(warning);
    }
    reporter.phase(Phase::Transfer, plan.total_bytes());
    let sink = HttpChunks::new(line, job);
    let mut progress = |at: capture::Progress| {
        reporter.done(at.read_bytes, at.total_bytes);
        reporter.moved(sink.moved_bytes(), 0);
        if reporter.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let result = capture::run(&dev, &plan, image, clock::unix_millis(), &sink, &mut progress);
    let (manifest, at) = result.map_err(|error| match error {
        CaptureError::Cancelled => JobError::Cancelled,
        other => JobError::Capture(other),
    })?;
    reporter.phase(Phase::Finish, 0);
    let bytes = manifest.to_bytes();
    line.ask(|client| client.publish(job, &bytes)).map_err(JobError::Publish)?;
    let identity = disks::identity(disk).unwrap_or_default().to_owned();
    let transferred = sink.moved_bytes();
    Ok(Finish::Ok {
        shortcomings: Vec::new(),
        bytes: at.read_bytes,
        transferred,
        disk: identity,
        resumed_bytes: 0,
        kept_bytes: 0,
        peer_bytes: 0,
    })
}
