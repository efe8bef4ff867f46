//! A license that ends soon.
//!
//! Within 60 days it is a warning, so that somebody renews it in time. `--expiring-within 30d` makes it an error for
//! those that end within that time, for a job that runs by the calendar.
//!
//! ```yaml
//! servers:
//!   - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [licenses/ends-soon.alf]}
//! ```
//!
//! **What to do:** Renew the license and add the new file beside the old one: seats of both count, each in its time.

use super::facts::Facts;
use super::report::Report;
use crate::manifest::finding::{Code, Severity};
use crate::measure::Span;

/// A license that ends soon.
pub static CODE: Code = Code::warning("W0209", "license-ends-soon");

/// What is soon where nobody says otherwise.
const SOON: Span = Span::from_secs(60 * 24 * 3600);

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    let now = facts.circumstances.now;
    for held in &facts.licenses {
        let Some(expires) = held.license.expires.filter(|expires| *expires > now) else { continue };
        let left = expires.since(now);
        let severity = match facts.circumstances.expiring_within {
            Some(within) if left <= within => Severity::Error,
            _ if left <= SOON => Severity::Warning,
            _ => continue,
        };
        let days = left.ms().div_ceil(24 * 3600 * 1000);
        let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
        let message = format!("{} ends within {days}, at {expires}", held.name());
        let help = "renew the license and add the new file beside this one".to_owned();
        report.grave(&CODE, severity, &facts.license_path(held.at, held.file), message, help);
    }
}
