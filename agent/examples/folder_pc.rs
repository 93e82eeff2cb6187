//! A PC that is a folder: the boot environment's conversation and jobs on a disk that is a file, against a real server.
//!
//! Below FOLDER lie `sys` and `proc` as on a real machine (`sys/block/vda/size`, `sys/block/vda/serial`, ...), the disk is
//! `dev/vda`. Ends when a real PC would restart. Benchmarks measure with it what the server and the agent cost without
//! an emulated processor.

use std::path::PathBuf;

use agent::client::Client;
use agent::identity::Identity;
use agent::job::Context;
use agent::line::{Line, Pauses};
use agent::machine::{self, Machine};
use agent::screen::Screen;
use agent::session::{self, Timing};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, ca, folder] = arguments.as_slice() else {
        return Err("usage: folder_pc https://SERVER:PORT CA.PEM FOLDER".into());
    };
    let root = PathBuf::from(folder);
    let machine = Machine { dev: root.join("dev"), root: root.clone() };
    let ca_pem = std::fs::read(ca)?;
    let identity = machine.kept_identity().map_or_else(Identity::generate, Ok)?;
    let client = Client::new(server, &ca_pem, &identity)?;
    let mount_point = root.join("mnt");
    std::fs::create_dir_all(&mount_point)?;
    let context = Context {
        machine: &machine,
        identity: &identity,
        line: &Line::new(client, Screen::to(Box::new(std::io::stdout())), Pauses::default()),
        ca_pem: &ca_pem,
        mount_point,
        binary: machine::own_binary().to_owned(),
        efivars: root.join("efivars"),
    };
    session::serve(&context, &Timing::default());
    Ok(())
}
