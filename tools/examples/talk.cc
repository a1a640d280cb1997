/* SPDX-License-Identifier: MIT */
/*
 * talk.cc - a chat in C++17. Exceptions report errors, destructors end what was
 * begun, and a std::thread writes a journal.
 *
 *     c++ -o talk talk.cc -std=c++17 -pthread \
 *         $(pkg-config --cflags --libs torc)
 *     ./talk 127.0.0.1:7000 talk.log
 *
 * Try it with two of: nc 127.0.0.1 7000
 *
 * All users hear every line. Lines that begin with a slash are commands: /name
 * NAME, /who, /quit. Each reactor has a room for its own users; a line reaches
 * the other rooms by a post.
 */
#include <torc.h>

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t line_max = 400;
constexpr std::size_t backlog_max = 100;	// lines kept for a slow user
constexpr unsigned write_ms = 10000;

using Line = std::shared_ptr<const std::string>;

/* Throws an exception if the result is negative; otherwise returns it. */
int
check(int rc, const char *what)
{
	if (rc < 0)
		throw std::system_error(-rc, std::generic_category(), what);
	return rc;
}

/* Writes lines to a file, on a thread that may wait for the disk. */
class Journal {
public:
	explicit Journal(const char *path)
	    : file_(path, std::ios::app)
	{
		if (!file_)
			throw std::runtime_error(std::string(path) +
			    ": cannot be written");
		thread_ = std::thread([this] { run(); });
	}

	~Journal()
	{
		{
			std::lock_guard<std::mutex> lock(mutex_);
			over_ = true;
		}
		news_.notify_one();
		thread_.join();
	}

	void
	add(Line line)
	{
		{
			std::lock_guard<std::mutex> lock(mutex_);
			lines_.push_back(std::move(line));
		}
		news_.notify_one();
	}

private:
	void
	run()
	{
		std::unique_lock<std::mutex> lock(mutex_);

		while (!over_ || !lines_.empty()) {
			news_.wait(lock, [this] {
				return over_ || !lines_.empty();
			});
			std::deque<Line> lines = std::move(lines_);
			lines_.clear();
			lock.unlock();
			for (const Line &line : lines)
				file_ << *line;
			file_.flush();
			lock.lock();
		}
	}

	std::ofstream file_;
	std::mutex mutex_;
	std::condition_variable news_;
	std::deque<Line> lines_;
	bool over_ = false;
	std::thread thread_;	// the last member: it uses the others
};

class User;

/* The users of one reactor. Only its thread uses them. */
thread_local std::vector<User *> room;

/* What the reactors share. */
struct House {
	std::mutex mutex;
	std::vector<torc_reactor *> reactors;
	std::unique_ptr<Journal> journal;
};

House house;

/* A user is in the room from its constructor to its destructor. */
class User {
public:
	explicit User(torc_conn *conn)
	    : conn_(conn)
	{
		char peer[128];

		check(torc_conn_peer_address(conn, peer, sizeof(peer)),
		    "a peer without an address");
		name = peer;
		check(torc_fiber_spawn(&teller_, tell, this), "no fiber");
		room.push_back(this);
	}

	/* The second fiber uses this object, so it must end first. */
	~User()
	{
		room.erase(std::find(room.begin(), room.end(), this));
		torc_fiber_reap(teller_, nullptr, TORC_NEVER);
	}

	User(const User &) = delete;
	User &operator=(const User &) = delete;

	/* Parks. Read the next line. Returns false at the end. */
	bool
	read(std::string &line)
	{
		torc_slice in;

		while (rest_.find('\n') == std::string::npos) {
			if (rest_.size() > line_max)
				throw std::length_error("the line is too long");
			if (check(torc_conn_recv(conn_, &in, TORC_NEVER),
			    "reading") == 0)
				return false;
			rest_.append(reinterpret_cast<const char *>(in.data),
			    in.size);
			torc_conn_consume(conn_, in.size);
		}
		line = rest_.substr(0, rest_.find('\n'));
		rest_.erase(0, line.size() + 1);
		if (!line.empty() && line.back() == '\r')
			line.pop_back();
		return true;
	}

	/* A user that reads too slowly misses the oldest lines. */
	void
	hear(Line line)
	{
		if (backlog_.size() == backlog_max)
			backlog_.pop_front();
		backlog_.push_back(std::move(line));
		torc_wake(&news_, 0);
	}

	std::string name;

private:
	/* The second fiber: it sends lines. No exception may leave it. */
	static int
	tell(void *arg)
	{
		User *user = static_cast<User *>(arg);
		int rc = 0;

		while (rc >= 0) {
			if (user->backlog_.empty()) {
				torc_conn_push(user->conn_);
				rc = torc_wait(&user->news_, TORC_NEVER);
				continue;
			}
			const Line line = user->backlog_.front();
			user->backlog_.pop_front();
			rc = torc_conn_write(user->conn_, line->data(),
			    line->size(), torc_after_ms(write_ms));
		}
		return rc;
	}

	torc_conn *conn_;
	std::uint64_t teller_ = 0;
	torc_waiters news_ = {};
	std::deque<Line> backlog_;
	std::string rest_;
};

/* A line on its way to the room of another reactor. */
struct Post : ::torc_post {
	Line line;

	static void
	arrive(torc_reactor *, struct ::torc_post *post)
	{
		std::unique_ptr<Post> self(static_cast<Post *>(post));

		for (User *user : room)
			user->hear(self->line);
	}
};

void
say(std::string text)
{
	const Line line = std::make_shared<const std::string>(std::move(text) +
	    "\n");
	std::lock_guard<std::mutex> lock(house.mutex);

	house.journal->add(line);
	for (torc_reactor *reactor : house.reactors) {
		auto post = std::make_unique<Post>();

		post->call = Post::arrive;
		post->line = line;
		if (torc_reactor_post(reactor, post.get()) == 0)
			post.release();
	}
}

struct Goodbye {};

void
obey(User &user, const std::string &command)
{
	if (command == "/quit")
		throw Goodbye();
	if (command == "/who") {
		std::string names = "* here:";

		for (const User *other : room)
			names += " " + other->name;
		user.hear(std::make_shared<const std::string>(names + "\n"));
	} else if (command.rfind("/name ", 0) == 0) {
		const std::string name = command.substr(6);

		if (name.empty() || name.size() > 20 ||
		    name.find_first_of(" \t") != std::string::npos)
			throw std::invalid_argument("a name is one word");
		say("* " + user.name + " is now " + name);
		user.name = name;
	} else {
		throw std::invalid_argument("no such command");
	}
}

/* The handler of a connection. No exception leaves it. */
int
serve(torc_conn *conn, void *)
try {
	User user(conn);
	std::string line;

	say("* " + user.name + " comes");
	try {
		while (user.read(line)) {
			try {
				if (!line.empty() && line[0] == '/')
					obey(user, line);
				else
					say(user.name + ": " + line);
			} catch (const std::invalid_argument &error) {
				user.hear(std::make_shared<const std::string>(
				    std::string("* ") + error.what() + "\n"));
			}
		}
	} catch (const Goodbye &) {
	}
	say("* " + user.name + " goes");
	return TORC_CLOSE;
} catch (const std::exception &) {
	return -1;
}

int
start(torc_reactor *reactor, void *)
{
	std::lock_guard<std::mutex> lock(house.mutex);

	house.reactors.push_back(reactor);
	return 0;
}

void
ready(void *)
{
	std::cerr << "talk: ready\n";
}

} // namespace

int
main(int argc, char **argv)
try {
	torc_error error;
	torc_config config = {};

	if (argc == 2 && std::string_view(argv[1]) == "--version") {
		std::cout << "talk (torc) " << torc_version() << "\n";
		return 0;
	}
	if (argc != 3) {
		std::cerr << "usage: talk ADDRESS JOURNAL\n";
		return 64;
	}
	const char *const addresses[] = { argv[1], nullptr };
	/* The signals are for torc_serve(): block them in other threads. */
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, nullptr);
	house.journal = std::make_unique<Journal>(argv[2]);
	config.listen = addresses;
	config.handler = serve;
	config.start = start;
	config.reactors = 2;
	if (torc_serve(&config, ready, &error) < 0) {
		std::cerr << "talk: " << error.text << "\n";
		return 1;
	}
	house.journal.reset();
	return 0;
} catch (const std::exception &error) {
	std::cerr << "talk: " << error.what() << "\n";
	return 1;
}
