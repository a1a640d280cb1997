/* SPDX-License-Identifier: MIT */
/*
 * exceptions.cc - in a program of C++, an exception belongs to the fiber that
 * handles it, also while that fiber waits and others handle theirs.
 *
 * A line "ok CLAIM" or "FAILED CLAIM: why" for each claim.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <torc.h>

static std::string fault;	/* the first one of a claim */
static int failed;

static void
expect(bool holds, const char *what)
{
	if (!holds && fault.empty())
		fault = what;
}

static void
claim(const char *text, void (*body)())
{
	fault.clear();
	alarm(60);
	body();
	if (fault.empty())
		std::printf("ok %s\n", text);
	else
		std::printf("FAILED %s: %s\n", text, fault.c_str());
	failed |= !fault.empty();
}

/* ---- A reactor on this thread ---- */

static torc_reactor *
make()
{
	torc_reactor *reactor = nullptr;
	torc_error error;

	if (torc_reactor_create(&reactor, nullptr, &error) < 0) {
		std::printf("FAILED a reactor is made: %s\n", error.text);
		std::exit(1);
	}
	return reactor;
}

static void (*chosen)();

static void
spawn_chosen(torc_reactor *, struct torc_post *)
{
	chosen();
}

/* What `first` spawns runs to its end. */
static void
run(void (*first)())
{
	torc_reactor *reactor = make();
	struct torc_post post = {};

	chosen = first;
	post.call = spawn_chosen;
	torc_reactor_post(reactor, &post);
	torc_reactor_drain(reactor, TORC_NEVER);
	expect(torc_reactor_run(reactor) == 0, "the reactor ends well");
	torc_reactor_destroy(reactor);
}

static void
pause_for(long ms)
{
	torc_sleep(torc_after_ms(static_cast<uint64_t>(ms)));
}

/* ---- Handlers of exceptions that wait ---- */

static const long FIBERS = 9;

static std::string
name_of(long number)
{
	return "the exception of fiber " + std::to_string(number);
}

static void
check_current(const std::string &mine)
{
	std::exception_ptr current = std::current_exception();

	expect(current != nullptr, "a handler has a current exception");
	if (current == nullptr)
		return;
	try {
		std::rethrow_exception(current);
	} catch (const std::exception &error) {
		expect(mine == error.what(), "it is that of this fiber");
	}
}

static int
wait_in_a_handler(void *arg)
{
	const long number = reinterpret_cast<long>(arg);
	const std::string mine = name_of(number);

	try {
		try {
			throw std::runtime_error(mine);
		} catch (const std::exception &error) {
			for (long i = 0; i < 4; i++) {
				pause_for((number * 5 + i * 3) % 7);
				expect(mine == error.what(),
				    "it is there while its handler waits");
				check_current(mine);
			}
			throw;
		}
	} catch (const std::exception &error) {
		expect(mine == error.what(), "throw; throws it again");
	}
	expect(std::current_exception() == nullptr,
	    "behind the handler there is none");
	return 0;
}

static void
spawn_handlers()
{
	for (long i = 0; i < FIBERS; i++)
		torc_fiber_spawn(nullptr, wait_in_a_handler,
		    reinterpret_cast<void *>(i));
}

static void
each_fiber_has_its_own()
{
	run(spawn_handlers);
}

/* ---- An exception in a handler of another one ---- */

static int
wait_in_two_handlers(void *arg)
{
	const long number = reinterpret_cast<long>(arg);
	const std::string outer = name_of(number), inner = "in " + outer;

	try {
		throw std::runtime_error(outer);
	} catch (const std::exception &first) {
		pause_for(number % 3);
		try {
			throw std::logic_error(inner);
		} catch (const std::exception &second) {
			pause_for((number + 1) % 3);
			expect(inner == second.what(), "the inner one is there");
			check_current(inner);
		}
		pause_for((number + 2) % 3);
		expect(outer == first.what(), "the outer one is there");
		check_current(outer);
	}
	return 0;
}

static void
spawn_nested()
{
	for (long i = 0; i < FIBERS; i++)
		torc_fiber_spawn(nullptr, wait_in_two_handlers,
		    reinterpret_cast<void *>(i));
}

static void
handlers_nest_in_each_fiber()
{
	run(spawn_nested);
}

/* ---- Destructors that wait while an exception is on its way ---- */

struct waits_at_its_end {
	long ms;
	~waits_at_its_end()
	{
		expect(std::uncaught_exception(),
		    "a destructor learns that an exception is on its way");
		pause_for(ms);
		expect(std::uncaught_exception(), "also after it has waited");
	}
};

static int
unwind_slowly(void *arg)
{
	const long number = reinterpret_cast<long>(arg);

	try {
		waits_at_its_end guard = { number % 4 };
		throw std::runtime_error(name_of(number));
	} catch (const std::exception &error) {
		expect(name_of(number) == error.what(), "it arrives");
	}
	return 0;
}

static int
see_none(void *)
{
	for (long i = 0; i < 5; i++) {
		expect(!std::uncaught_exception() &&
		    std::current_exception() == nullptr,
		    "a fiber without exceptions sees none of the others");
		pause_for(1);
	}
	return 0;
}

static void
spawn_unwinding()
{
	for (long i = 0; i < FIBERS; i++)
		torc_fiber_spawn(nullptr, i % 3 == 2 ? see_none :
		    unwind_slowly, reinterpret_cast<void *>(i));
}

static void
an_exception_on_its_way_belongs_to_its_fiber()
{
	run(spawn_unwinding);
}

/* ---- A loop that is run by the handler of an exception ---- */

static void
spawn_both()
{
	spawn_handlers();
	torc_fiber_spawn(nullptr, see_none, nullptr);
}

static void
a_loop_can_be_run_in_a_handler()
{
	const std::string mine = "of the loop's caller";

	try {
		try {
			throw std::runtime_error(mine);
		} catch (const std::exception &) {
			run(spawn_both);
			check_current(mine);
			throw;
		}
	} catch (const std::exception &error) {
		expect(mine == error.what(), "throw; throws the caller's");
	}
	expect(std::current_exception() == nullptr, "then there is none");
}

static void
single_turns_can_be_taken_in_a_handler()
{
	torc_reactor *reactor = make();
	const std::string mine = "of who takes turns";
	struct torc_post post = {};

	chosen = spawn_both;
	post.call = spawn_chosen;
	torc_reactor_post(reactor, &post);
	torc_reactor_drain(reactor, TORC_NEVER);
	for (int rc = 1; rc > 0;) {
		try {
			throw std::runtime_error(mine);
		} catch (const std::exception &) {
			rc = torc_reactor_turn(reactor, torc_after_ms(1));
			check_current(mine);
		}
	}
	torc_reactor_destroy(reactor);
}

/* ---- An exception that nobody catches ---- */

static int
throw_out(void *)
{
	throw std::runtime_error("nobody catches this");
}

static void
spawn_throwing()
{
	torc_fiber_spawn(nullptr, throw_out, nullptr);
}

static void
what_leaves_a_fiber_ends_the_process()
{
	char said[512] = "";
	int ends[2], status = 0;
	pid_t child;

	expect(pipe(ends) == 0, "a pipe");
	child = fork();
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		run(spawn_throwing);
		_exit(0);
	}
	close(ends[1]);
	for (size_t used = 0; used < sizeof said - 1;) {
		ssize_t size = read(ends[0], said + used,
		    sizeof said - 1 - used);

		if (size <= 0)
			break;
		used += static_cast<size_t>(size);
	}
	close(ends[0]);
	waitpid(child, &status, 0);
	expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
	    "std::terminate is called");
	expect(std::strstr(said, "nobody catches this") != nullptr,
	    "with the exception's own words");
}

int
main()
{
	std::setvbuf(stdout, nullptr, _IOLBF, 0);
	claim("each fiber that waits in a handler has its own exception",
	    each_fiber_has_its_own);
	claim("handlers nest in each fiber", handlers_nest_in_each_fiber);
	claim("an exception on its way belongs to its fiber",
	    an_exception_on_its_way_belongs_to_its_fiber);
	claim("a loop can be run in the handler of an exception",
	    a_loop_can_be_run_in_a_handler);
	claim("single turns can be taken in the handler of an exception",
	    single_turns_can_be_taken_in_a_handler);
	claim("an exception that leaves a fiber ends the process",
	    what_leaves_a_fiber_ends_the_process);
	return failed;
}
