//! What goes wrong between iPads and server: the program is killed, messages come twice or late, strangers draw things out. The program is
//! the one that was built, on a database file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise should end the test"
)]

mod lab;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use inventory::clock;
use inventory::mdm::{Action, Command, CommandState, EnrolmentState};
use ipad::{Facts, HttpError, Ipad};
use mdm::cms::{Cipher, RsaKey};
use mdm::scep::client::{Algorithms, Answer, Enrolment, ra_certificate};
use mdm::x509::Digest;
use plist::{Dictionary, Value};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use time::OffsetDateTime;

use lab::{Lab, by, eventually, refused};

fn enrolled(lab: &Lab) -> Ipad {
    let mut ipad = Ipad::enrol(&lab.invite(1), Facts::numbered(1), &lab.trust()).unwrap();
    eventually("it has its declarations", || {
        ipad.connect().unwrap();
        !ipad.state.declarations.is_empty()
    });
    ipad
}

fn lock(message: &str) -> Action {
    Action::Lock { message: message.into() }
}

/// The newest first, but for what the server tells by itself, whenever it is ready.
fn commands(lab: &Lab, ipad: &Ipad) -> Vec<Command> {
    let mut commands = lab.runtime.block_on(lab.inventory.commands_of(lab.id(ipad), 1000)).unwrap();
    commands.retain(|command| command.kind != BY_ITSELF);
    commands
}

/// The two newest.
fn last_two(lab: &Lab, ipad: &Ipad) -> Vec<CommandState> {
    commands(lab, ipad).iter().take(2).map(|command| command.state).collect()
}

/// Asks for work, and does what the server tells by itself.
fn ask(ipad: &mut Ipad) -> Result<Option<Vec<u8>>, HttpError> {
    let next = ipad.ask()?;
    skip(ipad, next)
}

/// Reports, and does what the server tells by itself.
fn report(ipad: &mut Ipad, result: &Dictionary) -> Result<Option<Vec<u8>>, HttpError> {
    let next = ipad.report(result)?;
    skip(ipad, next)
}

fn skip(ipad: &mut Ipad, mut next: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, HttpError> {
    while let Some(document) = &next {
        if !String::from_utf8_lossy(document).contains(BY_ITSELF) {
            break;
        }
        let (_, result) = ipad.carry_out(document)?;
        next = ipad.report(&result)?;
    }
    Ok(next)
}

const BY_ITSELF: &str = "DeclarativeManagement";

/// Asks until the server is reached again: connections to the one that was killed are dead.
fn again<T>(mut ask: impl FnMut() -> Result<T, HttpError>) -> T {
    let mut answer = None;
    eventually("the server answers again", || {
        answer = ask().ok();
        answer.is_some()
    });
    answer.unwrap()
}

#[test]
fn killed_between_asking_and_fetching_it_hands_out_what_was_asked() {
    let mut lab = Lab::process();
    let mut ipad = enrolled(&lab);
    lab.ask(&ipad, &lock("Bitte abgeben"));
    lab.stop();
    // Asked while nobody is there to hear of it.
    let ends = clock::now().plus_secs(600);
    let id = [lab.id(&ipad)];
    let asked = lab.inventory.ask_ipads(by(), &id, &Action::Restart, "", ends);
    assert_eq!(lab.runtime.block_on(asked).unwrap(), 1);
    lab.start();
    eventually("both were carried out", || {
        again(|| ipad.connect());
        (ipad.state.locks, ipad.state.restarts) == (1, 1)
    });
    assert_eq!(last_two(&lab, &ipad), [CommandState::Done; 2]);
}

#[test]
fn killed_between_a_result_and_the_next_command_it_goes_on_there() {
    let mut lab = Lab::process();
    let mut ipad = enrolled(&lab);
    lab.ask(&ipad, &lock(""));
    lab.ask(&ipad, &Action::Restart);
    let first = ask(&mut ipad).unwrap().expect("a command waits");
    let (done, result) = ipad.carry_out(&first).unwrap();
    lab.stop();
    assert!(report(&mut ipad, &result).is_err());
    lab.start();
    // The result arrives after all, and again since the answer got lost: the next command is not one that may be doubled.
    let second = again(|| report(&mut ipad, &result)).expect("the next command");
    lab.stop();
    lab.start();
    assert_eq!(again(|| report(&mut ipad, &result)), None, "whatever it was told, it may have done");
    let (other, late) = ipad.carry_out(&second).unwrap();
    assert_ne!(done.kind, other.kind);
    assert_eq!(again(|| ask(&mut ipad)), None, "it may have been carried out");
    // And that result comes late, behind a question.
    assert_eq!(report(&mut ipad, &late).unwrap(), None);
    assert_eq!((ipad.state.locks, ipad.state.restarts), (1, 1));
    assert_eq!(last_two(&lab, &ipad), [CommandState::Done; 2]);
}

#[test]
fn an_ipad_that_was_erased_is_not_erased_again() {
    let mut lab = Lab::process();
    let mut ipad = enrolled(&lab);
    lab.ask(&ipad, &Action::Erase);
    let erase = ask(&mut ipad).unwrap().expect("a command waits");
    // It carries it out, and its answer finds no server.
    lab.stop();
    let (_, result) = ipad.carry_out(&erase).unwrap();
    assert!(ipad.state.erased && report(&mut ipad, &result).is_err());
    lab.start();
    // Out of the box again, with a key of its own.
    let (link, trust) = (lab.invite(1), lab.trust());
    let mut anew = None;
    eventually("it enrols again", || {
        anew = Ipad::enrol(&link, Facts::numbered(1), &trust).ok();
        anew.is_some()
    });
    let mut anew = anew.unwrap();
    let kinds: Vec<String> = anew.connect().unwrap().into_iter().map(|done| done.kind).collect();
    assert!(!kinds.is_empty() && !kinds.contains(&"EraseDevice".to_owned()), "{kinds:?}");
    assert!(!anew.state.erased);
    assert_eq!(refused(report(&mut ipad, &result)), 400, "who it was before is nobody any more");
}

#[test]
fn killed_in_the_middle_of_a_fleets_sessions_nothing_is_lost_and_no_lock_comes_twice() {
    const IPADS: u32 = 8;
    let mut lab = Lab::process();
    let (link, trust) = (lab.invite(IPADS), lab.trust());
    let mut ipads: Vec<Ipad> =
        (1..=IPADS).map(|number| Ipad::enrol(&link, Facts::numbered(number), &trust).unwrap()).collect();
    for round in 0..3 {
        for ipad in &ipads {
            lab.ask(ipad, &lock(&format!("Runde {round}")));
            lab.ask(ipad, &Action::Restart);
            lab.ask(ipad, &Action::Refresh);
        }
        let (progress, seen) = mpsc::channel();
        ipads = std::thread::scope(|scope| {
            let threads: Vec<_> = ipads
                .into_iter()
                .map(|ipad| {
                    scope.spawn({
                        let progress = progress.clone();
                        move || works_until_there_is_nothing(ipad, &progress)
                    })
                })
                .collect();
            drop(progress);
            for steps in [5, 9, 20] {
                // Ended when all are through.
                if seen.iter().take(steps).count() == steps {
                    lab.stop();
                    lab.start();
                }
            }
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
    }
    for ipad in &ipads {
        let commands = commands(&lab, ipad);
        let count =
            |kind: &str, state| commands.iter().filter(|it| it.kind == kind && it.state == state).count();
        for command in &commands {
            let lost = command.state == CommandState::Sent;
            let expected =
                command.state == CommandState::Done || command.state == CommandState::Superseded || lost;
            assert!(expected, "{command:?}");
            assert!(!lost || ["DeviceLock", "RestartDevice"].contains(&command.kind.as_str()), "{command:?}");
        }
        for (kind, times) in [("DeviceLock", ipad.state.locks), ("RestartDevice", ipad.state.restarts)] {
            let (done, unknown) = (count(kind, CommandState::Done), count(kind, CommandState::Sent));
            // What the server knows to be done was done; where the answer got lost it may have been, once.
            assert!(
                (done..=done + unknown).contains(&(times as usize)),
                "{kind}: {times} of {done} + {unknown}"
            );
            assert_eq!(done + unknown, 3, "{kind}");
        }
        assert_eq!(count("SecurityInfo", CommandState::Sent), 0);
    }
}

/// Asks and does, through every fault, until the server has nothing more.
fn works_until_there_is_nothing(mut ipad: Ipad, progress: &mpsc::Sender<()>) -> Ipad {
    loop {
        let mut next = again(|| ask(&mut ipad));
        if next.is_none() {
            return ipad;
        }
        while let Some(document) = next {
            let (_, result) = ipad.carry_out(&document).unwrap();
            let _ = progress.send(());
            let Ok(answer) = report(&mut ipad, &result) else { break };
            next = answer;
        }
    }
}

#[test]
fn results_that_come_twice_or_in_another_order_count_once() {
    let lab = Lab::process();
    let mut ipad = enrolled(&lab);
    lab.ask(&ipad, &Action::Refresh);
    let first = ask(&mut ipad).unwrap().unwrap();
    let (_, one) = ipad.carry_out(&first).unwrap();
    let second = report(&mut ipad, &one).unwrap().unwrap();
    let (_, two) = ipad.carry_out(&second).unwrap();
    let third = report(&mut ipad, &two).unwrap().unwrap();
    // The network delivers the first two once more.
    assert_eq!(report(&mut ipad, &one).unwrap().as_ref(), Some(&third));
    assert_eq!(report(&mut ipad, &two).unwrap().as_ref(), Some(&third));
    let (_, three) = ipad.carry_out(&third).unwrap();
    let mut failed = three.clone();
    let fourth = report(&mut ipad, &three).unwrap().unwrap();
    failed.insert("Status".into(), "Error".into());
    assert_eq!(report(&mut ipad, &failed).unwrap(), Some(fourth), "what is done does not fail afterwards");
    // A command that nobody gave.
    let mut strange = three.clone();
    strange.insert("CommandUUID".into(), "11111111-2222-4333-8444-555555555555".into());
    assert!(report(&mut ipad, &strange).unwrap().is_some());
    ipad.connect().unwrap();
    let states: Vec<_> = commands(&lab, &ipad).iter().map(|it| it.state).collect();
    assert!(states.iter().all(|state| *state == CommandState::Done), "{states:?}");
}

#[test]
fn a_second_authenticate_forgets_what_waited_and_goes_on_after_the_next_token() {
    let lab = Lab::process();
    let mut ipad = enrolled(&lab);
    lab.ask(&ipad, &lock(""));
    ipad.authenticate().unwrap();
    let state =
        |ipad: &Ipad| lab.runtime.block_on(lab.inventory.enrolment(lab.id(ipad))).unwrap().unwrap().state;
    assert_eq!(state(&ipad), EnrolmentState::Authenticated);
    assert_eq!(commands(&lab, &ipad)[0].state, CommandState::Cancelled);
    ipad.authenticate().unwrap();
    ipad.update_token().unwrap();
    let kinds: Vec<String> = ipad.connect().unwrap().into_iter().map(|done| done.kind).collect();
    assert!(kinds.contains(&"DeviceInformation".to_owned()), "{kinds:?}");
    assert_eq!(ipad.state.locks, 0);
}

#[test]
fn a_challenge_that_was_used_certifies_no_other_key() {
    let lab = Lab::process();
    let agent = lab.agent();
    let get = |url: &str| agent.get(url).call().unwrap().body_mut().read_to_vec().unwrap();
    let (profile, _) = mdm::cms::verify(&get(&lab.invite(1))).unwrap();
    let profile = Value::from_reader_xml(profile.as_slice()).unwrap();
    let payloads = profile.as_dictionary().unwrap()["PayloadContent"].as_array().unwrap();
    let contents =
        payloads.iter().filter_map(|it| it.as_dictionary()?.get("PayloadContent")?.as_dictionary());
    let challenge = contents.filter_map(|it| it.get("Challenge")?.as_string()).next().unwrap();
    let ra = get(&format!("{}/scep?operation=GetCACert", lab.address));
    let ra = ra_certificate("application/x-x509-ca-ra-cert", &ra).unwrap();
    let certify = |key| {
        let algorithms = Algorithms { cipher: Cipher::Aes128, digest: Digest::Sha256 };
        let now = OffsetDateTime::now_utc();
        let (request, message) = Enrolment::initial(key, challenge, &ra, now, algorithms).unwrap();
        let url = format!("{}/scep?operation=PKIOperation", lab.address);
        let mut answer = agent.post(url).content_type(mdm::scep::MEDIA_TYPE).send(&message).unwrap();
        matches!(request.read(&answer.body_mut().read_to_vec().unwrap(), &ra).unwrap(), Answer::Granted(_))
    };
    let own = RsaKey::generate().unwrap().to_pkcs8().unwrap();
    assert!(certify(RsaKey::from_pkcs8(&own).unwrap()));
    assert!(!certify(RsaKey::generate().unwrap()), "whoever overheard the challenge");
    assert!(certify(RsaKey::from_pkcs8(&own).unwrap()), "the answer got lost, and the same key asks again");
}

#[test]
fn two_thousand_slow_uploads_take_little_memory_and_keep_nobody_out() {
    const UPLOADS: usize = 2000;
    let lab = Lab::process();
    let mut ipad = enrolled(&lab);
    let signature = ipad.signature(b"of something else").unwrap();
    let tls = tls_config(&lab);
    let connect = |head: String| {
        let name = ServerName::try_from("localhost").unwrap();
        let tcp = TcpStream::connect(lab.address.replace("https://localhost", "127.0.0.1")).unwrap();
        tcp.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(&tls), name).unwrap(), tcp);
        stream.write_all(head.as_bytes()).unwrap();
        // Whoever is refused may find the connection closed.
        let _ = stream.write_all(&[b'x'; 60 << 10]);
        stream
    };
    let mut open = Vec::with_capacity(UPLOADS);
    for number in 0..UPLOADS {
        let head = if number % 2 == 0 {
            format!(
                "PUT /commands HTTP/1.1\r\nhost: localhost\r\nmdm-signature: {signature}\r\ncontent-length: 1000000\r\n\r\n"
            )
        } else {
            "POST /scep?operation=PKIOperation HTTP/1.1\r\nhost: localhost\r\ncontent-length: 65000\r\n\r\n"
                .to_owned()
        };
        open.push(connect(head));
    }
    let long = connect(format!(
        "PUT /commands HTTP/1.1\r\nhost: localhost\r\nmdm-signature: {signature}\r\ncontent-length: 1000000\r\n\r\n"
    ));
    assert!(first_line(long).contains("503"), "the budget is spent");
    // Whoever has little to say is heard all the same.
    lab.ask(&ipad, &lock(""));
    ipad.connect().unwrap();
    assert_eq!(ipad.state.locks, 1);
    let peak = lab.memory_peak() >> 20;
    assert!(peak < 150, "{peak} MiB");
    eprintln!("{UPLOADS} uploads: {peak} MiB");
    drop(open);
    let trust = lab.trust();
    let link = lab.invite(1);
    eventually("strangers may enrol again", || Ipad::enrol(&link, Facts::numbered(2), &trust).is_ok());
}

fn first_line(mut stream: impl std::io::Read) -> String {
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    String::from_utf8_lossy(&line).into_owned()
}

fn tls_config(lab: &Lab) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(lab.dir.path().join("keys/ca.pem")).unwrap();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}
