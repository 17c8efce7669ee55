//! A host program that has a team act gets no thread that it did not ask for.

use synod::Team;
use synod::door::export;
use synod::preset::Settings;

#[test]
#[cfg(target_os = "linux")]
fn a_team_acts_on_the_thread_that_asks() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("team.synod");
    export(&Settings::preset("bottleneck").unwrap(), None, &path).unwrap();
    let mut team = Team::load(&path).unwrap();
    let mut memory = team.memory(64).unwrap();
    let numbers: usize = team.kind().observation.iter().product();
    let seen = vec![0.5; 64 * team.agents() * numbers];
    for _ in 0..20 {
        team.act(&seen, &mut memory).unwrap();
        assert_eq!(threads(), before);
    }
}
