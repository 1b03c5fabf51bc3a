//! How far a build is, told from what mmdebstrap and apt print.
//!
//! ```text
//! lists ─▶ essential: download, unpack, configure ─▶ the rest: download, unpack, configure ─▶ pack
//! ```
//! The shares of the phases were measured; within one, packages count.

/// What the build is doing, of 100 overall. Never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) stage: &'static str,
    pub(crate) percent: u8,
}

/// Where in the build the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Lists,
    FetchEssential,
    Essential,
    Rest,
    Pack,
}

impl Phase {
    /// The line that opens it.
    fn opened_by(line: &str) -> Option<Self> {
        Some(match line.strip_prefix("I: ")? {
            text if text.starts_with("running apt-get update") => Self::Lists,
            text if text.starts_with("downloading packages") => Self::FetchEssential,
            text if text.starts_with("installing essential") => Self::Essential,
            text if text.starts_with("installing remaining") => Self::Rest,
            text if text.starts_with("cleaning package lists") => Self::Pack,
            _ => return None,
        })
    }

    /// From which to which percent.
    fn share(self) -> (u32, u32) {
        match self {
            Self::Lists => (0, 8),
            Self::FetchEssential => (8, 20),
            Self::Essential => (20, 50),
            Self::Rest => (50, 90),
            Self::Pack => (90, 100),
        }
    }

    fn stage(self) -> &'static str {
        match self {
            Self::Lists | Self::FetchEssential => "download packages",
            Self::Essential | Self::Rest => "install packages",
            Self::Pack => "pack image",
        }
    }

    /// How often a package is named in this phase.
    fn mentions(self) -> u32 {
        match self {
            Self::Lists | Self::Pack => 0,
            Self::FetchEssential => 1,
            Self::Essential => 2,
            Self::Rest => 3,
        }
    }
}

/// Reads the output line by line.
#[derive(Debug)]
pub(crate) struct Meter {
    phase: Phase,
    packages: u32,
    seen: u32,
    last: u8,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Lists, packages: 0, seen: 0, last: 0 }
    }

    /// Takes one line; the step it leads to, if that is news.
    pub(crate) fn step(&mut self, line: &str) -> Option<Step> {
        let before = (self.phase, self.last);
        if let Some(phase) = Phase::opened_by(line) {
            self.phase = phase;
            self.seen = 0;
        } else if let Some(count) = newly_installed(line) {
            self.packages = count;
        } else if ["Get:", "Unpacking ", "Setting up "].iter().any(|start| line.starts_with(start)) {
            self.seen += 1;
        }
        let (from, to) = self.phase.share();
        let expected = self.packages.saturating_mul(self.phase.mentions());
        let done = ((to - from) * self.seen.min(expected)).checked_div(expected).unwrap_or(0);
        self.last = self.last.max(u8::try_from(from + done).unwrap_or(100));
        ((self.phase, self.last) != before).then(|| Step { stage: self.phase.stage(), percent: self.last })
    }
}

/// The N of `0 upgraded, N newly installed, …`.
fn newly_installed(line: &str) -> Option<u32> {
    line.split_once(" newly installed")?.0.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_from_start_to_end() {
        let mut meter = Meter::new();
        let output = "I: running apt-get update...\nGet:1 http://m bookworm InRelease\n\
            I: downloading packages with apt...\n0 upgraded, 2 newly installed, 0 to remove\nGet:1 a\nGet:2 b\n\
            I: extracting archives...\nI: installing essential packages...\nUnpacking a\nUnpacking b\nSetting up a\n\
            Setting up b\nI: installing remaining packages inside the chroot...\n0 upgraded, 1 newly installed\n\
            Get:1 c\nUnpacking c\nSetting up c\nI: cleaning package lists and apt cache...\n";
        let steps: Vec<u8> = output.lines().filter_map(|line| meter.step(line)).map(|step| step.percent).collect();
        assert_eq!(steps, [8, 14, 20, 20, 27, 35, 42, 50, 50, 63, 76, 90, 90]);
    }

    #[test]
    fn strange_output_does_no_harm() {
        let mut meter = Meter::new();
        for line in ["", "I: ", "4294967295 newly installed", "x newly installed", "Unpacking"] {
            assert_eq!(meter.step(line), None, "{line}");
        }
        assert_eq!(
            meter.step("I: cleaning package lists and apt cache"),
            Some(Step { stage: "pack image", percent: 90 })
        );
        assert_eq!(meter.step("I: running apt-get update"), Some(Step { stage: "download packages", percent: 90 }));
    }
}
