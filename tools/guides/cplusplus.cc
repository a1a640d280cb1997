// SPDX-License-Identifier: MIT
// cplusplus.cc - a service in C++17: no exception leaves a handler.
//
//     cplusplus [ADDRESS]
//     curl -d 'to be or not to be' http://127.0.0.1:8080/longest

#include <torc_service.h>

#include <cerrno>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>

namespace {

// What a handler throws to answer with an error of its own.
struct Refusal {
	unsigned status;
	const char *why;
};

int
check(int rc, const char *what)
{
	if (rc < 0)
		throw std::system_error(-rc, std::generic_category(), what);
	return rc;
}

// A handler that may throw, as one that torc can call.
template <void (*handler)(torc_exchange *)>
int
guarded(torc_exchange *exchange, void *) noexcept
try {
	handler(exchange);
	return 0;
} catch (const Refusal &refusal) {
	return torc_exchange_refuse(exchange, refusal.status, refusal.why,
	    torc_after_ms(5000));
} catch (const std::system_error &error) {
	return -error.code().value();
} catch (const std::exception &) {
	return -EIO;			// 500
}

void
longest(torc_exchange *exchange)
{
	const torc_deadline deadline = torc_after_ms(10000);
	torc_slice body;
	std::string word, best;

	check(torc_exchange_body(exchange, &body, deadline), "reading");
	std::istringstream words(std::string(
	    reinterpret_cast<const char *>(body.data), body.size));
	while (words >> word)
		if (word.size() > best.size())
			best = word;
	if (best.empty())
		throw Refusal { 422, "no words" };
	check(torc_exchange_text(exchange, 200, (best + "\n").c_str(),
	    deadline), "answering");
}

// Objects of torc end where their owners end.
template <typename T, void (*destroy)(T *)>
struct Destroy {
	void operator()(T *object) const { destroy(object); }
};
using Routes = std::unique_ptr<torc_routes,
    Destroy<torc_routes, torc_routes_destroy>>;
using Service = std::unique_ptr<torc_service,
    Destroy<torc_service, torc_service_destroy>>;

Service
make_service()
{
	torc_routes *list;
	torc_service *service;
	torc_error error;

	check(torc_routes_create(&list), "routes");
	const Routes routes(list);
	torc_routes_add(routes.get(), "POST", "/longest", guarded<longest>,
	    nullptr);
	if (torc_service_create(&service, routes.get(), nullptr, &error) < 0)
		throw std::runtime_error(error.text);
	return Service(service);
}

} // namespace

int
main(int argc, char **argv)
try {
	const char *const addresses[] = {
		argc > 1 ? argv[1] : "127.0.0.1:8080", nullptr
	};
	const Service service = make_service();
	torc_config config {};
	torc_error error;

	config.listen = addresses;
	config.handler = torc_service_handle;
	config.arg = service.get();
	if (torc_serve(&config, nullptr, &error) < 0)
		throw std::runtime_error(error.text);
	return 0;
} catch (const std::exception &error) {
	std::cerr << "cplusplus: " << error.what() << "\n";
	return 1;
}
