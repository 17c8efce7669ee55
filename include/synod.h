/* Trained teams of synod in C and C++ programs.
 *
 * A synod_team is what a file holds. It does not change: any number of threads may make sessions of it at once.
 * A synod_session is a team at work in some worlds, with what its agents remember: one thread at a time.
 * Functions return a status; after one that is not SYNOD_OK, synod_last_error() has the words, for this thread.
 * No thread is started, and nothing is global.
 *
 * Made by cbindgen from capi/src/lib.rs. */

#ifndef SYNOD_H
#define SYNOD_H

#include <stddef.h>
#include <stdint.h>

// The version of this interface: a program must refuse a library of another one. It grows when a function or a structure
// changes so that programs compiled before do not fit any more.
#define SYNOD_ABI_VERSION 1

// All went well.
#define SYNOD_OK 0

// An argument makes no sense: a null pointer, an array of another length, an observation that is no number.
#define SYNOD_ERROR_ARGUMENT 1

// A file is missing, cut short, damaged, or no exported team.
#define SYNOD_ERROR_FILE 2

// The device is missing, or lacks something.
#define SYNOD_ERROR_DEVICE 3

// The team cannot do what was asked: it does not take so many agents, say, or its action is no number.
#define SYNOD_ERROR_TEAM 4

// A fault of synod itself, which ought to be reported. What was being worked on can only be freed.
#define SYNOD_ERROR_INTERNAL 5

// Sizes of a shape in `synod_sizes`, at most.
#define SYNOD_MOST_AXES 8

// A team at work in some worlds.
typedef struct synod_session synod_session;

// A trained team.
typedef struct synod_team synod_team;

// Sizes of the arrays by which a team is spoken to.
typedef struct {
  // Agents of a world in training.
  size_t agents;
  // Numbers that an agent is shown at each step.
  size_t observation;
  // Axes of what an agent is shown.
  size_t observation_axes;
  // Their sizes. Their product is larger than `observation` where agents are also shown what they did last: the session adds
  // that.
  size_t observation_shape[SYNOD_MOST_AXES];
  // Options of all discrete choices together, which is the length of an agent's mask.
  size_t options;
  // Whether options were at times forbidden in training: 1 or 0.
  int masked;
  // Discrete choices of an agent.
  size_t integers;
  // Continuous actions of an agent.
  size_t floats;
} synod_sizes;

// What agents see at one step, and where what they do is written. Arrays have worlds first, then agents, then numbers, row
// after row. Lengths are in elements.
typedef struct {
  // `[worlds, agents, observation]`.
  const float *observations;
  // Elements of `observations`.
  size_t observations_length;
  // `[worlds, agents, options]`: 1 where an option is allowed, else 0. Null: all are.
  const float *masks;
  // Elements of `masks`.
  size_t masks_length;
  // `[worlds, agents]`: 0 where an agent is not in its world, else 1. Null: all are.
  const uint8_t *present;
  // Elements of `present`.
  size_t present_length;
  // Not 0: the most probable action of every agent, else what they did in training, which may be to draw one.
  int greedy;
  // `[worlds, agents, integers]`, written. Null where there are none.
  uint32_t *discrete;
  // Elements of `discrete`.
  size_t discrete_length;
  // `[worlds, agents, floats]`, written. Null where there are none.
  float *continuous;
  // Elements of `continuous`.
  size_t continuous_length;
} synod_step;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library's interface, to be compared with `SYNOD_ABI_VERSION`.
uint32_t synod_abi_version(void);

// Why the last function that this thread called did not end well; an empty text where it did. Good until the next call.
const char *synod_last_error(void);

// Reads the team of a file that `synod export` wrote, or of a run's folder. `device` is `cpu`, `gpu` or `auto` (a GPU
// where there is one); null: the CPU. To be freed by `synod_team_free`.
//
// # Safety
// `path` and `device` are texts that end with a zero, or null; `team` has room for a pointer, or is null.
int synod_team_load(const char *path,
                    const char *device,
                    synod_team **team);

// As `synod_team_load`, of the content of such a file. The bytes can be freed afterwards.
//
// # Safety
// `bytes` has so many bytes, or is null; `device` and `team` as there.
int synod_team_load_bytes(const uint8_t *bytes, size_t length, const char *device, synod_team **team);

// Frees a team; its sessions live on. Null is no fault. A team must not be used afterwards.
//
// # Safety
// `team` is of `synod_team_load` or `synod_team_load_bytes` and was not freed, or is null.
void synod_team_free(synod_team *team);

// The sizes of the arrays by which a team is spoken to.
//
// # Safety
// `team` is a team that was not freed, `sizes` has room for one such structure; either may be null.
int synod_team_sizes(const synod_team *team, synod_sizes *sizes);

// What there is to know of a team, as JSON: where it comes from, its kinds of agents, what each sees and can do. The text
// and its zero at the end are written where `capacity` is enough for both; `needed`, unless it is null, gets that number in
// any case, so that a first call with a capacity of 0 asks for it.
//
// # Safety
// `team` is a team that was not freed, `text` has room for `capacity` bytes, `needed` for a number; any may be null.
int synod_team_describe(const synod_team *team,
                        char *text,
                        size_t capacity,
                        size_t *needed);

// Puts a team to work in so many worlds, all of which begin. `agents` is the number of agents in each: 0 for as many as in
// training; another number where the network takes it. The same seed, and the same things seen, give the same actions. To be
// freed by `synod_session_free`.
//
// # Safety
// `team` is a team that was not freed, `session` has room for a pointer; either may be null.
int synod_session_new(const synod_team *team,
                      size_t worlds,
                      size_t agents,
                      uint64_t seed,
                      synod_session **session);

// Frees a session. Null is no fault. A session must not be used afterwards.
//
// # Safety
// `session` is of `synod_session_new` and was not freed, or is null.
void synod_session_free(synod_session *session);

// Agents begin anew at the next step: those with a mark that is not 0 in `which`, `[worlds, agents]`; all where it is null.
//
// # Safety
// `session` is a session that was not freed and that nobody else uses meanwhile, or null; `which` has so many bytes, or is
// null.
int synod_session_reset(synod_session *session,
                        const uint8_t *which,
                        size_t length);

// Shows all agents what they see, and writes what they do. Where this fails, the session is as it was, and nothing or
// anything may have been written.
//
// # Safety
// `session` is a session that was not freed and that nobody else uses meanwhile, or null; `step` is such a structure, or null;
// its arrays have the lengths that it says, or are null.
int synod_session_act(synod_session *session,
                      const synod_step *step);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SYNOD_H */
