// The installed headers are usable from C++, and what they declare has C linkage.
#include <carafe.h>

#include <cstdio>

static int hello_page(carafe_request *req, void *)
{
    return carafe_text(req, "hello");
}

int main()
{
    int (*view)(carafe_request *, void *) = hello_page;
    carafe_app *app = carafe_app_new("install-test");
    if (app == nullptr || view == nullptr)
        return 1;
    carafe_app_free(app);
    std::puts("made and freed an app");
    return 0;
}
