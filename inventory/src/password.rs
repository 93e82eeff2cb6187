//! Passwords: hashing with argon2id, and checking on a small fixed pool of threads.
//!
//! One check takes 19 MiB. Run on the runtime's blocking threads, a burst of sign-ins would take that many times over and
//! keep it; here two threads own one block of memory each, and a bounded queue stands before them.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::RngCore as _;
use tokio::sync::oneshot;

/// Why a password cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is too short to keep anybody out.
    #[error("the password must have at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// It is longer than anything a person types.
    #[error("the password must have at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// The hash function refused.
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::Error),
}

/// The argon2id hash of a new password in PHC string format, as `Inventory::create_user` stores it. Takes about 50 ms and
/// 19 MiB: call it from a program's start, not from a server's task.
///
/// # Errors
/// The password is too short or too long.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    hash_in(password, Cost::Chosen, &mut vec![Block::default(); MEMORY_KIB as usize])
}

/// How dear a hash is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// For what a person thought of.
    Chosen,
    /// For random passwords of 60 bits and more, which nobody guesses whatever a guess costs.
    Random,
}

impl Cost {
    fn params(self) -> Result<Params, argon2::Error> {
        match self {
            Self::Chosen => Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)),
            Self::Random => Params::new(RANDOM_MEMORY_KIB, 1, LANES, Some(HASH_BYTES)),
        }
    }
}

/// Whether a stored hash was made at a smaller cost than a chosen password's.
pub fn is_cheap(stored: &str) -> bool {
    Stored::parse(stored).is_some_and(|stored| stored.params.m_cost() < MEMORY_KIB)
}

/// The hash of a password, made in the caller's memory: at least [`MEMORY_KIB`] blocks.
pub fn hash_in(password: &str, cost: Cost, memory: &mut [Block]) -> Result<String, PasswordError> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(PasswordError::TooShort);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    let mut salt = [0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let mut output = [0; HASH_BYTES];
    let params = cost.params().map_err(PasswordError::Hash)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, memory)
        .map_err(PasswordError::Hash)?;
    Ok(format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        params.m_cost(),
        params.t_cost(),
        params.p_cost(),
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(output)
    ))
}

/// The pool has too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// Checks and hashes passwords. Clones share the threads, which end with the last clone.
#[derive(Clone)]
pub struct Checker {
    queue: SyncSender<Work>,
}

enum Work {
    Check { password: String, hash: Option<String>, answer: oneshot::Sender<bool> },
    Hash { password: String, answer: oneshot::Sender<Result<String, PasswordError>> },
}

impl Checker {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start() -> std::io::Result<Self> {
        let (queue, checks) = sync_channel(QUEUE_MAX);
        let checks = Arc::new(Mutex::new(checks));
        for _ in 0..THREADS {
            let checks = checks.clone();
            std::thread::Builder::new().name("passwords".into()).spawn(move || work(&checks))?;
        }
        Ok(Self { queue })
    }

    /// Whether the password belongs to the hash. Without a hash (there is no such person) it takes as long and is `false`.
    pub async fn check(&self, password: &str, hash: Option<&str>) -> Result<bool, Busy> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let (answer, answered) = oneshot::channel();
        self.wait(
            Work::Check { password: password.to_owned(), hash: hash.map(str::to_owned), answer },
            answered,
        )
        .await
    }

    /// The hash of a new password, or what is wrong with it.
    pub async fn hash(&self, password: &str) -> Result<Result<String, PasswordError>, Busy> {
        let (answer, answered) = oneshot::channel();
        let password = password.chars().take(PASSWORD_BYTES_MAX + 1).collect();
        self.wait(Work::Hash { password, answer }, answered).await
    }

    async fn wait<T>(&self, work: Work, answered: oneshot::Receiver<T>) -> Result<T, Busy> {
        match self.queue.try_send(work) {
            Ok(()) => answered.await.map_err(|_| Busy),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Busy),
        }
    }
}

fn work(checks: &Mutex<Receiver<Work>>) {
    let mut memory = vec![Block::default(); MEMORY_KIB as usize];
    loop {
        // The lock is held while waiting: the other thread waits for the lock instead, and works meanwhile.
        let next = checks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(next) = next else { return };
        // The person may have gone; then the answer is nobody's.
        match next {
            Work::Check { password, hash, answer } => {
                let _ = answer.send(verify(&password, hash.as_deref(), &mut memory));
            }
            Work::Hash { password, answer } => {
                let _ = answer.send(hash_in(
                    &password,
                    Cost::Chosen,
                    memory.get_mut(..MEMORY_KIB as usize).unwrap_or_default(),
                ));
            }
        }
    }
}

fn verify(password: &str, stored: Option<&str>, memory: &mut Vec<Block>) -> bool {
    // A random first password is checked quickly; then as long as for anybody else, or it would tell that the name exists.
    if stored.is_some_and(is_cheap) {
        verify(password, None, memory);
    }
    let known = stored.and_then(|text| Stored::parse(text).or_else(|| {
        tracing::error!("a stored password hash is no argon2id hash of at most {MEMORY_KIB_MAX} KiB; nobody can sign in with it");
        None
    }));
    let found = known.is_some();
    let Some(target) = known.or_else(Stored::nobody) else { return false };
    let needed = target.params.block_count();
    if memory.len() < needed {
        memory.resize(needed, Block::default());
    }
    let mut output = vec![0; target.output.len()];
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, target.params)
        .hash_password_into_with_memory(
            password.as_bytes(),
            &target.salt,
            &mut output,
            memory.as_mut_slice(),
        );
    done.is_ok() && same(&output, &target.output) && found
}

/// A stored hash, understood.
struct Stored {
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Stored {
    fn parse(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        let params = Params::try_from(&hash).ok()?;
        if hash.algorithm.as_str() != "argon2id"
            || hash.version != Some(19)
            || params.m_cost() > MEMORY_KIB_MAX
        {
            return None;
        }
        let mut salt = [0; 64];
        let salt = hash.salt?.decode_b64(&mut salt).ok()?.to_vec();
        Some(Self { params, salt, output: hash.hash?.as_bytes().to_vec() })
    }

    /// What an unknown name is checked against, so that the answer does not come sooner than for a known one.
    fn nobody() -> Option<Self> {
        let params = Cost::Chosen.params().ok()?;
        Some(Self { params, salt: vec![0; SALT_BYTES], output: vec![0; HASH_BYTES] })
    }
}

/// Compares without telling by its time where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (x, y)| differs | (x ^ y)) == 0
}

/// Shortest password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Memory of one hash: the first choice of OWASP's password storage cheat sheet for argon2id, with two passes and one lane.
pub const MEMORY_KIB: u32 = 19 * 1024;
const RANDOM_MEMORY_KIB: u32 = 256;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// A stored hash that wants more is not tried: it would be a way to take the machine's memory.
const MEMORY_KIB_MAX: u32 = 64 * 1024;
const THREADS: usize = 2;
const QUEUE_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_person_is_accepted() {
        let stored = hash("richtig und lang").unwrap();
        let checker = Checker::start().unwrap();
        let check = async |password: &str, hash: Option<&str>| checker.check(password, hash).await.unwrap();
        assert!(check("richtig und lang", Some(&stored)).await);
        assert!(!check("richtig und lang ", Some(&stored)).await);
        assert!(!check("", Some(&stored)).await);
        assert!(!check("richtig und lang", None).await);
        assert!(!check(&"x".repeat(5000), Some(&stored)).await);
        for damaged in
            ["", "richtig und lang", "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", &stored[..60]]
        {
            assert!(!check("richtig und lang", Some(damaged)).await, "{damaged}");
        }
    }

    #[test]
    fn two_hashes_of_one_password_differ_and_short_passwords_are_refused() {
        assert_ne!(hash("zehn Zeichen").unwrap(), hash("zehn Zeichen").unwrap());
        assert_eq!(hash("kurz"), Err(PasswordError::TooShort));
        assert_eq!(hash(&"x".repeat(2000)), Err(PasswordError::TooLong));
    }

    #[tokio::test]
    async fn a_burst_of_sign_ins_is_turned_away_and_not_piled_up() {
        let checker = Checker::start().unwrap();
        let burst: Vec<_> = (0..60)
            .map(|_| {
                let checker = checker.clone();
                tokio::spawn(async move { checker.check("falsch und lang", None).await })
            })
            .collect();
        let mut busy = 0;
        for attempt in burst {
            match attempt.await.unwrap() {
                Ok(accepted) => assert!(!accepted),
                Err(Busy) => busy += 1,
            }
        }
        assert!(busy > 0, "the queue of {QUEUE_MAX} never filled");
    }
}
