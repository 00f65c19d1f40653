"""Certificates for loopback, made by the environment of Flower, which has what makes them.

As a module, ``python certificates.py FOLDER`` writes an authority and a server's certificate.
"""

import datetime
import ipaddress
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def certificate(name, key, *, signer, signer_key, extensions):
    """Sign a certificate that is valid for a day."""
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(signer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key()),
            critical=False,
        )
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    return builder.sign(signer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def usage(**granted):
    kinds = "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
    kinds += " key_cert_sign crl_sign encipher_only decipher_only"
    return x509.KeyUsage(**{kind: granted.get(kind, False) for kind in kinds.split()})


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    whole = ("authority", authority)
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    (folder / "ca.pem").write_bytes(
        certificate(
            *whole,
            signer=whole[0],
            signer_key=authority,
            extensions=[
                (x509.BasicConstraints(ca=True, path_length=0), True),
                (usage(key_cert_sign=True, crl_sign=True), True),
            ],
        )
    )
    (folder / "server.pem").write_bytes(
        certificate(
            "server",
            server,
            signer=whole[0],
            signer_key=authority,
            extensions=[
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (x509.SubjectAlternativeName(addresses), False),
                (usage(digital_signature=True), True),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            ],
        )
    )
    (folder / "server.key").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
