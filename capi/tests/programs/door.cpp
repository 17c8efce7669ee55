// door TEAM RECORDING: the same from C++, with handles that free themselves.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "steps.h"

struct Free {
    void operator()(synod_team *team) const { synod_team_free(team); }
    void operator()(synod_session *session) const { synod_session_free(session); }
};

int main(int count, char **arguments) {
    CHECK(count == 3);
    synod_team *loaded = nullptr;
    CHECK(synod_team_load(arguments[1], nullptr, &loaded) == SYNOD_OK);
    std::unique_ptr<synod_team, Free> team(loaded);
    synod_sizes sizes;
    CHECK(synod_team_sizes(team.get(), &sizes) == SYNOD_OK);
    std::size_t needed = 0;
    CHECK(synod_team_describe(team.get(), nullptr, 0, &needed) == SYNOD_OK);
    std::string text(needed, ' ');
    CHECK(synod_team_describe(team.get(), &text[0], text.size(), nullptr) == SYNOD_OK);
    CHECK(text.find("\"actions\"") != std::string::npos);
    std::size_t length = 0;
    std::unique_ptr<unsigned char, decltype(&std::free)> recorded(whole_file(arguments[2], &length), &std::free);
    recording of;
    std::memcpy(&of, recorded.get(), 4 * sizeof(std::uint64_t));
    synod_session *begun = nullptr;
    CHECK(synod_session_new(team.get(), of.worlds, of.agents, of.seed, &begun) == SYNOD_OK);
    std::unique_ptr<synod_session, Free> session(begun);
    play(session.get(), &sizes, recorded.get());
    std::puts("well");
    return 0;
}
