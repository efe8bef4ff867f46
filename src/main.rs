//! The `tandem` program: everything it does is in `tandem::cli`.

fn main() -> std::process::ExitCode {
    tandem::cli::run()
}
