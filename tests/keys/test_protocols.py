"""Protocols' implementations take a key that pauses, 200 at once: DNSSEC, QUIC, SSH, ACME."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keys._support import SlowEngine, jobs_with_slow_key
from keys.test_x509 import NOW, certificate
from pausable.keys import adapters, pausing

ZONE = """
@ 300 IN SOA ns1 admin 1 3600 600 86400 300
@ 300 IN NS ns1
ns1 300 IN A 192.0.2.1
www 300 IN A 192.0.2.{}
"""


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("RSA", "RSASHA256"), ("P-256", "ECDSAP256SHA256"), ("Ed25519", "ED25519")],
)
def test_dnspython_signs_zones(local, kind, algorithm):
    import dns.dnssec
    import dns.name
    import dns.rdatatype
    import dns.zone

    origin = dns.name.from_text("example.")
    public = local[kind].public_key()
    dnskey = dns.dnssec.make_dnskey(public, dns.dnssec.Algorithm[algorithm], 257)

    def make(key, i):
        zone = dns.zone.from_text(ZONE.format(i), origin, relativize=False)
        dns.dnssec.sign_zone(zone, keys=[(key, dnskey)], inception=NOW, lifetime=86400)
        return zone

    at = NOW.timestamp() + 60
    for i, zone in enumerate(jobs_with_slow_key(local[kind], make)):
        signed = 0
        for owner, rdataset in zone.iterate_rdatasets():
            if rdataset.rdtype == dns.rdatatype.RRSIG:
                continue
            signatures = zone.find_rdataset(owner, dns.rdatatype.RRSIG, rdataset.rdtype)
            keys = {origin: zone.find_rdataset(origin, dns.rdatatype.DNSKEY)}
            dns.dnssec.validate((owner, rdataset), (owner, signatures), keys, now=at)
            signed += 1
        assert signed >= 5
        (address,) = zone.find_rdataset("www.example.", "A")
        assert address.address == f"192.0.2.{i}"


@pytest.mark.parametrize("kind", ["RSA", "P-256", "Ed25519"])
def test_aioquic_handshakes(local, kind):
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection
    from aioquic.quic.events import HandshakeCompleted

    cert = certificate(local[kind], 0, issuer="subject 0")
    trusted = cert.public_bytes(Encoding.PEM)

    def handshake(key, i):
        client = QuicConnection(
            configuration=QuicConfiguration(
                is_client=True, alpn_protocols=["x"], cadata=trusted, server_name="host"
            )
        )
        client.connect(("192.0.2.1", 443), now=0.0)
        server = None
        completed = []
        for _ in range(10):
            for data, _addr in client.datagrams_to_send(now=0.0):
                if server is None:
                    server = QuicConnection(
                        configuration=QuicConfiguration(
                            is_client=False, alpn_protocols=["x"], certificate=cert, private_key=key
                        ),
                        original_destination_connection_id=client.original_destination_connection_id,
                    )
                server.receive_datagram(data, ("192.0.2.2", 1), now=0.0)
            for data, _addr in server.datagrams_to_send(now=0.0):
                client.receive_datagram(data, ("192.0.2.1", 443), now=0.0)
            while event := client.next_event():
                completed.append(event)
        return completed

    # the client verifies the server's signature with the certificate's public key
    for events in jobs_with_slow_key(local[kind], handshake):
        assert any(isinstance(event, HandshakeCompleted) for event in events), events


@pytest.mark.parametrize("kind", ["RSA", "P-256"])
def test_paramiko(local, kind):
    import paramiko

    def make(key, i):
        return adapters.paramiko_key(key).sign_ssh_data(b"%d" % i).asbytes()

    adapted = adapters.paramiko_key(local[kind])
    public = paramiko.PKey.from_type_string(adapted.get_name(), adapted.asbytes())
    assert not public.can_sign()
    for i, signature in enumerate(jobs_with_slow_key(local[kind], make)):
        assert public.verify_ssh_sig(b"%d" % i, paramiko.Message(signature))


@pytest.mark.parametrize("kind", ["RSA", "P-256", "Ed25519"])
def test_asyncssh(local, kind):
    import asyncssh

    def make(key, i):
        return adapters.asyncssh_key(key).sign(b"%d" % i)

    ssh = local[kind].public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    public = asyncssh.import_public_key(ssh)
    for i, signature in enumerate(jobs_with_slow_key(local[kind], make)):
        assert public.verify(b"%d" % i, signature)


def test_asyncssh_clients_log_in(local, tmp_path):
    import asyncssh

    ssh = local["P-256"].public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    (tmp_path / "authorized").write_bytes(ssh)

    async def log_in(key, port):
        async with asyncssh.connect(
            "127.0.0.1",
            port,
            username="a",
            known_hosts=None,
            config=None,
            agent_path=None,
            client_keys=[adapters.asyncssh_key(key)],
        ) as connection:
            return connection.get_extra_info("username")

    async def main(engine):
        async with asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            authorized_client_keys=str(tmp_path / "authorized"),
        ) as server:
            key = pausing(local["P-256"], engine)
            return await asyncio.gather(*[log_in(key, server.get_port()) for _ in range(5)])

    with SlowEngine(jobs=5) as engine:
        assert asyncio.run(main(engine)) == ["a"] * 5
        assert engine.all_paused.is_set()
