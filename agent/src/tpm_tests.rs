//! The key in a TPM, against swtpm and against chips that misbehave.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::process::{Child, Command};

use super::*;

/// Gives prepared answers.
struct Scripted {
    answers: VecDeque<Vec<u8>>,
    commands: Vec<Vec<u8>>,
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(answer) = self.answers.pop_front() else { return Ok(0) };
        let length = answer.len().min(buffer.len());
        buffer[..length].copy_from_slice(&answer[..length]);
        Ok(length)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.commands.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn scripted(answers: &[&[u8]]) -> Tpm<Scripted> {
    Tpm::new(Scripted { answers: answers.iter().map(|a| a.to_vec()).collect(), commands: Vec::new() })
}

fn refusal(code: u32) -> Vec<u8> {
    [&[0x80, 1, 0, 0, 0, 10][..], &code.to_be_bytes()].concat()
}

#[test]
fn a_tpm_without_our_index_has_no_key() {
    let mut tpm = scripted(&[&refusal(0x922), &refusal(0x18b)]);
    assert!(tpm.read_key().unwrap().is_none());
    assert_eq!(tpm.stream.commands.len(), 2, "a busy TPM is asked again");
    assert_eq!(tpm.stream.commands[0], [0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x69, 1, 0x84, 0x8d, 1]);
}

#[test]
fn a_tpm_with_an_owner_password_refuses_and_says_so() {
    let mut tpm = scripted(&[&refusal(0x18b), &refusal(0x9a2)]);
    assert!(matches!(
        tpm.write_key(b"key"),
        Err(TpmError::Refused { command: "NV_DefineSpace", code: 0x9a2 })
    ));
}

#[test]
fn records_are_whole_or_nothing() {
    let key = vec![7; 138];
    let record = encode(&key).unwrap();
    assert_eq!(record.len(), INDEX_BYTES);
    assert_eq!(decode(&record).unwrap(), key);
    for at in 0..8 + 2 + 138 + 32 {
        let mut damaged = record.clone();
        damaged[at] ^= 1;
        assert_eq!(decode(&damaged), None, "{at}");
    }
    assert_eq!(encode(&[0; 300]), None);
}

proptest::proptest! {
    #[test]
    fn any_answers_are_taken_without_a_panic(mut answers: Vec<Vec<u8>>, key in proptest::collection::vec(0u8.., 0..200)) {
        // Half of them with a good header, so that the fields behind it are looked at.
        for answer in answers.iter_mut().step_by(2) {
            let length = (answer.len() + 10) as u32;
            answer.splice(0..0, [0x80, 2].into_iter().chain(length.to_be_bytes()).chain([0; 4]));
        }
        let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
        let _ = scripted(&answers).read_key();
        let _ = scripted(&answers).write_key(&key);
        decode(&key);
    }
}

/// swtpm, the TPM simulator of Debian.
struct Swtpm {
    child: Child,
    _dir: tempfile::TempDir,
    port: u16,
}

impl Swtpm {
    fn start() -> Swtpm {
        let dir = tempfile::tempdir().unwrap();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, control) = (free(), free());
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg(format!("--tpmstate=dir={}", dir.path().display()))
            .arg(format!("--server=type=tcp,port={port}"))
            .arg(format!("--ctrl=type=tcp,port={control}"))
            .spawn()
            .expect("swtpm is needed: apt-get install swtpm");
        Swtpm { child, _dir: dir, port }
    }

    fn connect(&self) -> Tpm<TcpStream> {
        let deadline = clock::now() + Duration::from_secs(20);
        loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => return Tpm::new(stream),
                Err(error) => assert!(clock::now() < deadline, "{error}"),
            }
            clock::wait(Duration::from_millis(20));
        }
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_key_that_was_written_to_a_tpm_is_there_again_and_can_be_replaced() {
    let swtpm = Swtpm::start();
    let mut tpm = swtpm.connect();
    assert!(tpm.read_key().unwrap().is_none());
    let first = crate::identity::Identity::generate().unwrap();
    tpm.write_key(first.private_key()).unwrap();
    assert_eq!(tpm.read_key().unwrap().unwrap(), first.private_key());
    let second = crate::identity::Identity::generate().unwrap();
    tpm.write_key(second.private_key()).unwrap();
    assert_eq!(tpm.read_key().unwrap().unwrap(), second.private_key());
    assert!(matches!(tpm.write_key(&[0; 4000]), Err(TpmError::NoPlace)));
}
