/* door TEAM RECORDING: a team acts as it does in Rust, and what makes no sense is refused. */
#include "steps.h"

static void refuses(synod_team *team, const synod_sizes *sizes, const unsigned char *content, size_t length) {
    synod_team *other = team;
    synod_session *session = NULL;
    synod_step step;
    float *seen = (float *)calloc(sizes->agents * sizes->observation, sizeof(float));
    uint32_t *chosen = (uint32_t *)calloc(sizes->agents * sizes->integers + 1, sizeof(uint32_t));
    float *numbers = (float *)calloc(sizes->agents * sizes->floats + 1, sizeof(float));
    unsigned char mark = 1;
    CHECK(synod_team_load("no such file", NULL, &other) == SYNOD_ERROR_FILE && other == NULL);
    CHECK(strstr(synod_last_error(), "no such file") != NULL);
    CHECK(synod_team_load(NULL, NULL, &other) == SYNOD_ERROR_ARGUMENT);
    CHECK(synod_team_load("x", NULL, NULL) == SYNOD_ERROR_ARGUMENT);
    CHECK(synod_team_load("x", "no such device", &other) == SYNOD_ERROR_ARGUMENT && other == NULL);
    CHECK(synod_team_load("\xff\xfe", NULL, &other) == SYNOD_ERROR_ARGUMENT);
    CHECK(synod_team_load_bytes(content, length - 1, NULL, &other) == SYNOD_ERROR_FILE && other == NULL);
    CHECK(synod_team_load_bytes(content, 0, NULL, &other) == SYNOD_ERROR_FILE);
    CHECK(synod_team_load_bytes(NULL, 3, NULL, &other) == SYNOD_ERROR_ARGUMENT);
    CHECK(synod_team_sizes(NULL, NULL) == SYNOD_ERROR_ARGUMENT);
    CHECK(synod_team_sizes(team, NULL) == SYNOD_ERROR_ARGUMENT);
    CHECK(synod_team_describe(team, NULL, 0, NULL) == SYNOD_ERROR_ARGUMENT);
    CHECK(synod_session_new(NULL, 1, 0, 0, &session) == SYNOD_ERROR_ARGUMENT && session == NULL);
    CHECK(synod_session_new(team, 0, 0, 0, &session) == SYNOD_ERROR_ARGUMENT && session == NULL);
    CHECK(synod_session_new(team, (size_t)-1, 0, 0, &session) == SYNOD_ERROR_ARGUMENT && session == NULL);
    CHECK(synod_session_new(team, 1, 0, 0, &session) == SYNOD_OK);
    CHECK(synod_session_reset(session, &mark, sizes->agents + 1) == SYNOD_ERROR_ARGUMENT);
    CHECK(synod_session_act(session, NULL) == SYNOD_ERROR_ARGUMENT);
    CHECK(synod_session_act(NULL, &step) == SYNOD_ERROR_ARGUMENT);
    memset(&step, 0, sizeof step);
    step.observations = seen;
    step.observations_length = sizes->agents * sizes->observation - 1;
    step.discrete = chosen;
    step.discrete_length = sizes->agents * sizes->integers;
    step.continuous = numbers;
    step.continuous_length = sizes->agents * sizes->floats;
    CHECK(synod_session_act(session, &step) == SYNOD_ERROR_ARGUMENT);
    step.observations_length += 1;
    seen[0] = (float)(1e300 * 1e300 - 1e300 * 1e300);
    CHECK(synod_session_act(session, &step) == SYNOD_ERROR_ARGUMENT);
    CHECK(strstr(synod_last_error(), "NaN") != NULL);
    seen[0] = 0;
    step.observations = NULL;
    CHECK(synod_session_act(session, &step) == SYNOD_ERROR_ARGUMENT);
    step.observations = (const float *)(const void *)((const char *)seen + 1);
    CHECK(synod_session_act(session, &step) == SYNOD_ERROR_ARGUMENT);
    step.observations = seen;
    step.discrete_length += 1;
    CHECK(synod_session_act(session, &step) == SYNOD_ERROR_ARGUMENT);
    step.discrete_length -= 1;
    CHECK(synod_session_act(session, &step) == SYNOD_OK);
    CHECK(strlen(synod_last_error()) == 0);
    synod_session_free(session);
    synod_session_free(NULL);
    synod_team_free(NULL);
    free(seen);
    free(chosen);
    free(numbers);
}

int main(int count, char **arguments) {
    synod_team *team = NULL, *second = NULL;
    synod_session *session = NULL;
    synod_sizes sizes;
    recording of;
    size_t length, needed = 0, content;
    unsigned char *recorded, *bytes, *marks;
    char *text;
    CHECK(count == 3);
    CHECK(synod_abi_version() == SYNOD_ABI_VERSION);
    recorded = whole_file(arguments[2], &length);
    memcpy(&of, recorded, 4 * sizeof(uint64_t));
    CHECK(synod_team_load(arguments[1], "cpu", &team) == SYNOD_OK);
    CHECK(synod_team_sizes(team, &sizes) == SYNOD_OK);
    CHECK(synod_team_describe(team, NULL, 0, &needed) == SYNOD_OK && needed > 2);
    text = (char *)malloc(needed);
    CHECK(synod_team_describe(team, text, needed - 1, &needed) == SYNOD_ERROR_ARGUMENT);
    CHECK(synod_team_describe(team, text, needed, NULL) == SYNOD_OK && strlen(text) == needed - 1);
    CHECK(strstr(text, "\"preset\"") != NULL);
    free(text);
    CHECK(synod_session_new(team, of.worlds, of.agents, of.seed, &session) == SYNOD_OK);
    play(session, &sizes, recorded);
    synod_session_free(session);

    /* The same from memory, by a session that outlives its team. */
    bytes = whole_file(arguments[1], &content);
    CHECK(synod_team_load_bytes(bytes, content, NULL, &second) == SYNOD_OK);
    CHECK(synod_session_new(second, of.worlds, of.agents, of.seed, &session) == SYNOD_OK);
    synod_team_free(second);
    play(session, &sizes, recorded);
    /* What began anew need not act as before, but may. */
    marks = (unsigned char *)calloc(of.worlds * of.agents, 1);
    marks[0] = 1;
    CHECK(synod_session_reset(session, marks, of.worlds * of.agents) == SYNOD_OK);
    CHECK(synod_session_reset(session, NULL, 0) == SYNOD_OK);
    synod_session_free(session);
    refuses(team, &sizes, bytes, content);
    synod_team_free(team);
    free(marks);
    free(bytes);
    free(recorded);
    puts("well");
    return 0;
}
