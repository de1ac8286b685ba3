"""The proxy that the environment names."""

import pytest

from services.runtime.network.proxies import ProxyError, proxy_of

URL = "wss://fstream.example/public"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy.example:3128"}, ("proxy.example", 3128, "", "")),
        ({"HTTPS_PROXY": "proxy.example:3128"}, ("proxy.example", 3128, "", "")),
        ({"all_proxy": "http://proxy.example"}, ("proxy.example", 80, "", "")),
        ({"https_proxy": "http://[2001:db8::1]:3128"}, ("2001:db8::1", 3128, "", "")),
        ({"https_proxy": "http://us%40er:p%3Aw@proxy.example:1"}, ("proxy.example", 1, "us@er", "p:w")),
        ({"https_proxy": "", "all_proxy": "http://proxy.example:1"}, ("proxy.example", 1, "", "")),
        ({"https_proxy": "http://a.example:1", "all_proxy": "socks5://b.example:2"}, ("a.example", 1, "", "")),
        ({"http_proxy": "http://proxy.example:3128"}, None),
    ],
)
def test_the_variable_in_force_is_read(environment: dict[str, str], expected: tuple[object, ...] | None) -> None:
    found = proxy_of(URL, environment)
    assert (found and found[1:5]) == expected


@pytest.mark.parametrize(
    ("no_proxy", "url", "goes_around"),
    [
        ("*", URL, True),
        ("fstream.example", URL, True),
        (".example", URL, True),
        ("example", URL, True),
        ("*.example", URL, True),
        ("stream.example", URL, False),
        ("other.example, FSTREAM.example", URL, True),
        ("fstream.example:443", "wss://fstream.example:443/", True),
        ("fstream.example:444", "wss://fstream.example:443/", False),
        ("192.0.2.0/24", "wss://192.0.2.7/", True),
        ("192.0.2.0/24", "wss://198.51.100.7/", False),
        ("2001:db8::/32", "https://[2001:db8::1]/", True),
        (",", URL, False),
    ],
)
def test_no_proxy_names_hosts_domains_and_networks(no_proxy: str, url: str, *, goes_around: bool) -> None:
    environment = {"https_proxy": "http://proxy.example:3128", "no_proxy": no_proxy}
    assert (proxy_of(url, environment) is None) is goes_around


def test_no_proxy_reaches_this_machine_s_own_loopback() -> None:
    environment = {"https_proxy": "socks5://proxy.example:1080", "all_proxy": "http://proxy.example:3128"}
    assert proxy_of("wss://localhost:8443/", environment) is None
    assert proxy_of("http://127.0.0.1:8080", environment) is None


@pytest.mark.parametrize("scheme", ["socks", "socks4", "socks4a", "socks5", "socks5h", "https", "ftp"])
@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_of_another_kind_is_refused_by_name_and_its_password_is_not_shown(scheme: str, variable: str) -> None:
    with pytest.raises(ProxyError) as raised:
        proxy_of(URL, {variable: f"{scheme}://user:secret@proxy.example:1080"})
    said = str(raised.value)
    assert said.startswith(f"{variable} names a")
    assert ("SOCKS" if scheme.startswith("socks") else scheme) in said
    assert "no_proxy=fstream.example" in said
    assert "secret" not in said


@pytest.mark.parametrize("value", ["http://", "http://:3128", "http://proxy.example:port", "http://user:secret@"])
def test_a_proxy_that_cannot_be_read_is_refused_without_its_password(value: str) -> None:
    with pytest.raises(ProxyError, match="https_proxy: expected http://HOST:PORT") as raised:
        proxy_of(URL, {"https_proxy": value})
    assert "secret" not in str(raised.value)
