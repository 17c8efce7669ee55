/* threads TEAM RECORDING: eight threads share a team, each with sessions of its own. */
#include <pthread.h>

#include "steps.h"

#define THREADS 8

static synod_team *team;
static unsigned char *recorded;

static void *work(void *unused) {
    synod_sizes sizes;
    recording of;
    int round;
    (void)unused;
    memcpy(&of, recorded, 4 * sizeof(uint64_t));
    CHECK(synod_team_sizes(team, &sizes) == SYNOD_OK);
    for (round = 0; round < 3; round++) {
        synod_session *session = NULL;
        CHECK(synod_session_new(team, of.worlds, of.agents, of.seed, &session) == SYNOD_OK);
        play(session, &sizes, recorded);
        /* Words of errors are a thread's own. */
        CHECK(synod_session_act(session, NULL) == SYNOD_ERROR_ARGUMENT);
        CHECK(strlen(synod_last_error()) > 0);
        synod_session_free(session);
        CHECK(strlen(synod_last_error()) == 0);
    }
    return NULL;
}

int main(int count, char **arguments) {
    pthread_t threads[THREADS];
    size_t length;
    int i;
    CHECK(count == 3);
    CHECK(synod_team_load(arguments[1], NULL, &team) == SYNOD_OK);
    recorded = whole_file(arguments[2], &length);
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    synod_team_free(team);
    free(recorded);
    puts("well");
    return 0;
}
