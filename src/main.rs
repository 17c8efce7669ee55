//! The program: [`synod::command`] with the worlds, agents and learners of the crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    synod::command::main()
}
