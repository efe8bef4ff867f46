//! `tandem-sim`: asks of a manifest what happens when things break.

fn main() -> std::process::ExitCode {
    tandem_sim::cli::run()
}
