//! Carrying out a job: deploy or capture, with progress to the server and the screen, and the result at the end.

mod capture;
mod chunks;
mod deploy;
mod meter;
mod reporter;

use std::path::PathBuf;

use images::protocol::{Finish, Job, Phase, Task};

use crate::client::ClientError;
use crate::identity::Identity;
use crate::line::Line;
use crate::machine::Machine;
use crate::screen::{Kind, Problem, Scene, Trouble};
use crate::swarm::Swarm;
use reporter::Reporter;

/// Everything that a job needs.
pub struct Context<'c> {
    /// The machine whose disks are meant.
    pub machine: &'c Machine,
    /// Who this PC is; a deploy leaves the key on the disk.
    pub identity: &'c Identity,
    /// To the server.
    pub line: &'c Line,
    /// The school's CA, for the resident agent.
    pub ca_pem: &'c [u8],
    /// An empty folder for mounting the new system.
    pub mount_point: PathBuf,
    /// The program that becomes the resident agent.
    pub binary: PathBuf,
    /// Where the firmware's variables are.
    pub efivars: PathBuf,
}

/// How a job ended, for the caller's next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The disk was written: restart into it.
    Restart,
    /// There is nothing more to do.
    Stay,
    /// It failed or was cancelled; the screen says why.
    Failed,
}

/// A job that was carried out.
struct Done {
    finish: Finish,
    /// The exchange with other PCs that it took part in.
    swarm: Option<Swarm>,
}

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("{0}")]
    Disk(#[from] images::disks::Reason),
    #[error("{path} cannot be opened: {source}")]
    Open { path: PathBuf, source: std::io::Error },
    #[error("the server does not give the job's manifest: {0}")]
    Fetch(ClientError),
    #[error("the manifest cannot be trusted: {0}")]
    Manifest(String),
    #[error("{}", chain(.0))]
    Deploy(images::deploy::DeployError),
    #[error("{}", chain(.0))]
    Capture(images::capture::CaptureError),
    #[error("the server does not take the image: {0}")]
    Publish(ClientError),
    #[error("the new system cannot be set up: {0}")]
    Personalise(#[from] crate::personalise::PersonaliseError),
    #[error("the device key cannot be written to the disk: {0}")]
    Key(std::io::Error),
    #[error("cancelled")]
    Cancelled,
}

/// Carries a job out and tells the server how it ended, whatever happens.
pub fn run(context: &Context<'_>, job: &Job) -> Outcome {
    let line = context.line.for_job();
    let (kind, image) = match &job.task {
        Task::Deploy { image, version, .. } => (Kind::Deploy, format!("{image} {version}")),
        Task::Capture { image } => (Kind::Capture, image.clone()),
    };
    let name = word(kind);
    line.screen().mark(&format!("{name} begin image={} job={}", image.replace(' ', "_"), job.id));
    let reporter = Reporter::new(&line, &job.id, kind, image);
    reporter.phase(Phase::Prepare, 0);
    let result = reporter.alongside(|| match &job.task {
        Task::Deploy { .. } => deploy::run(context, &line, job, &reporter),
        Task::Capture { image } => {
            capture::run(context, &line, &job.id, image, &reporter).map(|finish| Done { finish, swarm: None })
        }
    });
    line.stop();
    match result {
        Ok(done) => {
            let Done { finish, swarm } = done;
            let Finish::Ok { bytes, transferred, resumed_bytes, kept_bytes, peer_bytes, .. } = &finish else {
                return Outcome::Failed;
            };
            line.screen().mark(&format!(
                "{name} done bytes={bytes} transferred={transferred} resumed={resumed_bytes} kept={kept_bytes} peers={peer_bytes} job={}",
                job.id
            ));
            tell(context.line, &job.id, &finish);
            if let Some(swarm) = swarm {
                swarm.stay(context.line);
            }
            if kind == Kind::Deploy { Outcome::Restart } else { Outcome::Stay }
        }
        Err(error) => {
            let reason = error.to_string();
            line.screen().mark(&format!("error {name} job={} {reason}", job.id));
            if !matches!(error, JobError::Cancelled) {
                tell(
                    context.line,
                    &job.id,
                    &Finish::Failed { reason: reason.chars().take(REASON_MAX).collect() },
                );
            }
            let trouble = Trouble { problem: Problem::Job, detail: reason, retry: None };
            line.screen().show(Scene::Trouble(trouble));
            Outcome::Failed
        }
    }
}

/// The result must arrive, else the job would be carried out again.
fn tell(line: &Line, job: &str, finish: &Finish) {
    if let Err(error) = line.ask(|client| client.finish(job, finish)) {
        line.screen().note(&format!("the server does not take the result: {error}"));
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Deploy => "deploy",
        Kind::Capture => "capture",
    }
}

/// An error with all its causes, for people who see only this line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}

const REASON_MAX: usize = 1000;
